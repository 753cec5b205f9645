-- The directory of people in versions: which team a user belongs to, and since when. A version of the owner mapping
-- pins the version of the directory that its rules ask, so that whatever pins the mapping pins the directory too.
CREATE TABLE directories (
    directory_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

CREATE TABLE directory_entries (
    directory_version INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    user_name VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    from_us BIGINT,
    to_us BIGINT
);

ALTER TABLE owner_maps ADD COLUMN directory_version INTEGER;

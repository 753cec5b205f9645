-- The policy book in versions: what its entries say (settings, as JSON) of whose time on what, from when until when.
CREATE TABLE policy_books (
    policy_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

CREATE TABLE policy_entries (
    policy_version INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    from_us BIGINT,
    to_us BIGINT,
    settings VARCHAR NOT NULL
);

ALTER TABLE closed_periods ADD COLUMN policy_version INTEGER;

-- The share book in versions: which team has how many GPUs of which devices, and on what terms it lends them.
-- parts and lend_limit_parts are in 1/840 of a GPU; loan_percent and loan_rate_quanta are NULL where a loan is free.
CREATE TABLE share_books (
    share_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    idle VARCHAR NOT NULL,
    unowned VARCHAR NOT NULL,
    content VARCHAR NOT NULL
);

CREATE TABLE share_entries (
    share_version INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    cluster VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    parts BIGINT NOT NULL,
    lends BOOLEAN NOT NULL,
    lend_limit_parts BIGINT,
    loan_percent DECIMAL(18, 9),
    loan_rate_quanta BIGINT,
    from_us BIGINT,
    to_us BIGINT
);

ALTER TABLE closed_periods ADD COLUMN share_version INTEGER;

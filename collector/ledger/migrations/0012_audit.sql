-- The audit log: each entry is the canonical JSON of an event and names the hash of the one before. Rows are only
-- added.
CREATE TABLE audit_events (
    sequence BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    act VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    entry VARCHAR NOT NULL
);

-- Signed heads of the log. note is the signed text as it was written elsewhere, edge what the tree grows on from.
CREATE TABLE audit_checkpoints (
    size BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    note VARCHAR NOT NULL,
    edge BLOB NOT NULL
);

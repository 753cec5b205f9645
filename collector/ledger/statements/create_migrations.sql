CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    applied_us BIGINT NOT NULL
)

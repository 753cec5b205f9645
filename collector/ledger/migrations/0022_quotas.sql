-- The quota book in versions, as it was imported.
CREATE TABLE quota_books (
    quota_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

-- Stages that quotas reached, each once a period (of GPUs at once: once a month), by which version of the book and at
-- which figures: parts of a GPU, or microseconds x parts. Numbers are those of no crossing of a budget.
CREATE TABLE quota_crossings (
    crossing_id BIGINT PRIMARY KEY,
    quota VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    at_us BIGINT NOT NULL,
    quota_version INTEGER NOT NULL,
    owner VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    used HUGEINT NOT NULL,
    whole HUGEINT NOT NULL,
    UNIQUE (quota, period, stage)
);

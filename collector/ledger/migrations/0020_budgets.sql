-- The budget book in versions, as it was imported.
CREATE TABLE budget_books (
    budget_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

-- Stages that budgets reached, each once a period, by which version of the book and at which figures.
CREATE TABLE budget_crossings (
    crossing_id BIGINT PRIMARY KEY,
    budget VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    at_us BIGINT NOT NULL,
    budget_version INTEGER NOT NULL,
    owner VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    measured_quanta BIGINT NOT NULL,
    limit_quanta BIGINT NOT NULL,
    UNIQUE (budget, period, stage)
);

-- What is told to whom: one notice for each crossing and name; where it goes is in the collector's settings alone.
CREATE TABLE notices (
    notice_id BIGINT PRIMARY KEY,
    crossing_id BIGINT NOT NULL,
    target VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    UNIQUE (crossing_id, target)
);

-- What became of a notice, in order: rows are only added. due_us: when the next attempt
-- is, of one that waits; attempts: how many there were by then.
CREATE TABLE notice_steps (
    notice_id BIGINT NOT NULL,
    step INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    at_us BIGINT NOT NULL,
    due_us BIGINT,
    attempts INTEGER NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (notice_id, step)
);

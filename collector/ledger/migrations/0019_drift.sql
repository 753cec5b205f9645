-- Comparisons of two periods that somebody kept, and what drifted in each; what did not is counted only.
CREATE TABLE drift_runs (
    run_id INTEGER PRIMARY KEY,
    found_us BIGINT NOT NULL,
    dimension VARCHAR NOT NULL,
    level DOUBLE NOT NULL,
    reference_from_us BIGINT NOT NULL,
    reference_to_us BIGINT NOT NULL,
    current_from_us BIGINT NOT NULL,
    current_to_us BIGINT NOT NULL,
    tested INTEGER NOT NULL,
    left_out INTEGER NOT NULL
);

CREATE TABLE drift_results (
    run_id INTEGER NOT NULL,
    scope VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    score DOUBLE NOT NULL,
    q DOUBLE,
    reference_mean DOUBLE,
    current_mean DOUBLE
);

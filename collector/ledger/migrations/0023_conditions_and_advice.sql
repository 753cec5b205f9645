-- The clock and temperature of boards while they worked, by hour: sums over readings, and how many there were. Several
-- rows of an hour add up. Agents that are older tell none, and nothing stands for what nobody read.
CREATE TABLE board_conditions (
    batch_id INTEGER NOT NULL,
    board VARCHAR NOT NULL,
    hour_us BIGINT NOT NULL,
    sm_clock_readings INTEGER NOT NULL,
    sm_clock_mhz BIGINT NOT NULL,
    temperature_readings INTEGER NOT NULL,
    temperature_c BIGINT NOT NULL
);

-- Advice about the waste of a period that somebody kept, in its own words, and what came of it in as long a time after.
CREATE TABLE advice (
    advice_id INTEGER PRIMARY KEY,
    kept_us BIGINT NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    workload VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    user_name VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    part_us HUGEINT NOT NULL,
    low_quanta HUGEINT,
    high_quanta HUGEINT
);

CREATE TABLE advice_results (
    advice_id INTEGER PRIMARY KEY,
    found_us BIGINT NOT NULL,
    result VARCHAR NOT NULL,
    after_part_us HUGEINT NOT NULL,
    saved_quanta HUGEINT
);

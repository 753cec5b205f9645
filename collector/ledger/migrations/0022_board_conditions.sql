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

INSERT INTO board_conditions BY NAME
SELECT
    batch_id,
    board,
    hour_us,
    sm_clock_readings,
    sm_clock_mhz,
    temperature_readings,
    temperature_c
FROM incoming_conditions

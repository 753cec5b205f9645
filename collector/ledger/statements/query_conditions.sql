-- The clock and temperature of boards while they worked, hour by hour: sums over readings, and how many there were.
SELECT
    c.hour_us,
    c.board AS device,
    sum(c.sm_clock_readings)::BIGINT AS sm_clock_readings,
    sum(c.sm_clock_mhz)::BIGINT AS sm_clock_mhz,
    sum(c.temperature_readings)::BIGINT AS temperature_readings,
    sum(c.temperature_c)::BIGINT AS temperature_c
FROM board_conditions AS c
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY c.hour_us, c.board
ORDER BY c.hour_us, c.board;

-- Raw usage of a period by device and state.
SELECT
    u.device_id,
    u.state,
    sum(u.held_us)::BIGINT AS held_us,
    coalesce(sum(u.energy_mj), 0)::BIGINT AS energy_mj
FROM usage AS u
WHERE u.start_us >= $from_us AND u.start_us < $to_us
GROUP BY u.device_id, u.state
ORDER BY u.device_id, u.state;

-- Where the hourly roll-up of a slice of a period is not the sum of its raw usage.
WITH signed AS (
    SELECT
        u.start_us - u.start_us % 3600000000 AS hour_us,
        u.device_id,
        coalesce(u.holder_id, -1) AS holder_id,
        u.state,
        u.reason_id,
        u.held_us,
        coalesce(u.active_us, 0) AS active_us,
        CASE WHEN u.active_us IS NULL THEN u.held_us ELSE 0 END AS active_unknown_us,
        coalesce(u.energy_mj, 0) AS energy_mj,
        CASE WHEN u.energy_mj IS NULL THEN u.held_us ELSE 0 END AS energy_unknown_us
    FROM usage AS u
    WHERE u.start_us >= $from_us AND u.start_us < $to_us
    UNION ALL
    SELECT
        h.hour_us,
        h.device_id,
        coalesce(h.holder_id, -1) AS holder_id,
        h.state,
        h.reason_id,
        -h.held_us AS held_us,
        -h.active_us AS active_us,
        -h.active_unknown_us AS active_unknown_us,
        -h.energy_mj AS energy_mj,
        -h.energy_unknown_us AS energy_unknown_us
    FROM usage_hourly AS h
    WHERE h.hour_us >= $from_us AND h.hour_us < $to_us
)

SELECT
    s.hour_us,
    s.device_id,
    sum(s.held_us)::BIGINT AS held_us,
    sum(s.energy_mj)::BIGINT AS energy_mj
FROM signed AS s
GROUP BY s.hour_us, s.device_id, s.holder_id, s.state, s.reason_id
HAVING
    sum(s.held_us) <> 0 OR sum(s.active_us) <> 0 OR sum(s.active_unknown_us) <> 0
    OR sum(s.energy_mj) <> 0 OR sum(s.energy_unknown_us) <> 0
ORDER BY s.hour_us, s.device_id;

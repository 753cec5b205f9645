-- Where the charges of a period are not its hourly usage, row by row; waiting hours and the rows that rating makes for
-- what no record covers (unobserved/no_data, in a pool idle/free) left out.
WITH signed AS (
    SELECT
        h.hour_us,
        h.device_id,
        coalesce(h.holder_id, -1) AS holder_id,
        h.state,
        h.reason_id,
        h.held_us,
        h.active_us,
        h.active_unknown_us,
        h.energy_mj
    FROM usage_hourly AS h
    WHERE h.hour_us >= $from_us AND h.hour_us < $to_us
    UNION ALL
    SELECT
        c.hour_us,
        c.device_id,
        coalesce(c.holder_id, -1) AS holder_id,
        c.state,
        c.reason_id,
        -c.held_us AS held_us,
        -c.active_us AS active_us,
        -c.active_unknown_us AS active_unknown_us,
        -c.energy_mj AS energy_mj
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
)

SELECT
    s.hour_us,
    s.device_id,
    sum(s.held_us)::BIGINT AS held_us,
    sum(s.energy_mj)::BIGINT AS energy_mj
FROM signed AS s
INNER JOIN devices AS d ON s.device_id = d.device_id
ANTI JOIN proof_waiting AS w ON d.cluster = w.cluster AND s.hour_us = w.hour_us
GROUP BY s.hour_us, s.device_id, d.kind, s.holder_id, s.state, s.reason_id
HAVING
    sum(s.energy_mj) <> 0
    OR (
        NOT (s.holder_id = -1 AND s.state = 5 AND s.reason_id = 2 AND d.kind <> 'pool')
        AND NOT (s.holder_id = -1 AND s.state = 3 AND s.reason_id = 1 AND d.kind = 'pool')
        AND (sum(s.held_us) <> 0 OR sum(s.active_us) <> 0 OR sum(s.active_unknown_us) <> 0)
    )
ORDER BY s.hour_us, s.device_id;

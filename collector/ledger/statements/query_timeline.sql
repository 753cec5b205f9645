-- Charges by bucket of time, team and state; timeline_steps says where the bucket of each hour begins. Days from
-- days_from_us up to days_to_us are summed already, and are buckets themselves.
WITH chosen AS (
    SELECT
        c.device_id,
        c.owner_id,
        c.state,
        c.price_entry,
        c.held_us,
        c.cost_quanta,
        s.at_us
    FROM charges AS c
    INNER JOIN timeline_steps AS s ON c.hour_us = s.hour_us
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.hour_us < $days_from_us OR c.hour_us >= $days_to_us)
    UNION ALL
    SELECT
        c.device_id,
        c.owner_id,
        c.state,
        c.price_entry,
        c.held_us,
        c.cost_quanta,
        c.day_us AS at_us
    FROM charge_days AS c
    WHERE c.day_us >= $days_from_us AND c.day_us < $days_to_us
)

SELECT
    o.team,
    c.state,
    c.at_us,
    sum(c.held_us * d.parts) AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
    coalesce(sum(c.cost_quanta), 0) AS cost_quanta
FROM chosen AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
GROUP BY o.team, c.state, c.at_us
ORDER BY c.at_us, o.team, c.state;

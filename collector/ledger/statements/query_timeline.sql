-- Charges by bucket of time, team and state.
WITH slim AS (
    SELECT
        c.hour_us - c.hour_us % $grain_us AS at_us,
        c.device_id,
        c.owner_id,
        c.state,
        c.price_entry IS NULL AS unpriced,
        sum(c.held_us) AS held_us,
        sum(c.cost_quanta) AS cost_quanta
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    GROUP BY at_us, c.device_id, c.owner_id, c.state, unpriced
)

SELECT
    s.at_us,
    o.team,
    s.state,
    sum(s.held_us * d.parts) AS part_us,
    coalesce(sum(s.held_us * d.parts) FILTER (WHERE s.unpriced), 0) AS unpriced_part_us,
    coalesce(sum(s.cost_quanta), 0) AS cost_quanta
FROM slim AS s
INNER JOIN devices AS d ON s.device_id = d.device_id
LEFT JOIN owners AS o ON s.owner_id = o.owner_id
GROUP BY s.at_us, o.team, s.state
ORDER BY s.at_us, o.team, s.state;

-- What boards took while nobody held them, by node and model, the most first. Sizes are microseconds x parts.
-- Days from days_from_us up to days_to_us are summed already.
WITH chosen AS (
    SELECT
        c.device_id,
        c.held_us,
        c.energy_mj,
        c.energy_unknown_us
    FROM charges AS c
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.hour_us < $days_from_us OR c.hour_us >= $days_to_us)
        AND c.state = 3
    UNION ALL
    SELECT
        c.device_id,
        c.held_us,
        c.energy_mj,
        c.energy_unknown_us
    FROM charge_days AS c
    WHERE c.day_us >= $days_from_us AND c.day_us < $days_to_us AND c.state = 3
),

narrow AS (
    SELECT
        c.device_id,
        sum(c.held_us) AS held_us,
        sum(c.energy_mj) AS energy_mj,
        sum(c.energy_unknown_us) AS energy_unknown_us
    FROM chosen AS c
    GROUP BY c.device_id
)

SELECT
    d.node,
    d.model,
    sum(n.held_us * d.parts) AS part_us,
    sum(n.energy_mj) AS energy_mj,
    sum(n.energy_unknown_us * d.parts) AS energy_unknown_part_us
FROM narrow AS n
INNER JOIN devices AS d ON n.device_id = d.device_id
GROUP BY d.node, d.model
ORDER BY sum(n.energy_mj) DESC, d.node ASC, d.model ASC;

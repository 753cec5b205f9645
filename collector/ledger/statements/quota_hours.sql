-- What was held in each hour of a period, by owner and model, in microseconds x parts.
SELECT
    c.hour_us,
    d.model,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    sum(c.held_us * d.parts)::HUGEINT AS part_us
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.state IN (1, 2, 6, 7)
GROUP BY ALL
ORDER BY ALL;

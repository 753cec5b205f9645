-- GPU-hours of a period by owner and model, in microseconds x parts: what was held, and what nobody watched.
SELECT
    d.model,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.state IN (1, 2, 6, 7)), 0)::HUGEINT AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.state IN (5, 7)), 0)::HUGEINT AS unobserved_part_us
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.state NOT IN (3, 4)
GROUP BY ALL
ORDER BY ALL;

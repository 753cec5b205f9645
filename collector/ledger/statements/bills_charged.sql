-- What each team is charged in a period; an empty team is the platform.
SELECT
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(sum(c.cost_quanta), 0) AS cost_quanta,
    sum(c.held_us * d.parts) AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY ALL
ORDER BY organisation, department, team;

-- What each owner is charged for the hours of a period, with what of its time has no price and what nobody watched.
SELECT
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(sum(c.cost_quanta), 0)::HUGEINT AS cost_quanta,
    sum(c.held_us * d.parts)::HUGEINT AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0)::HUGEINT AS unpriced_part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.state IN (5, 7)), 0)::HUGEINT AS unobserved_part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.state = 5), 0)::HUGEINT AS unseen_part_us
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY ALL
ORDER BY organisation, department, team;

-- Hours that got their price after they were closed, with what adjustments make of them; withdrawn ones do not count.
SELECT
    l.hour_us,
    l.offset_us,
    l.device_id,
    l.owner_id,
    l.state,
    d.model,
    d.mig_profile,
    d.parts,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    any_value(l.price_version) AS price_version,
    any_value(l.price_entry) AS price_entry,
    any_value(l.rate_quanta) AS rate_quanta,
    sum(l.cost_quanta)::BIGINT AS cost_quanta
FROM late_prices AS l
ANTI JOIN manual_withdrawals AS w ON l.manual_id = w.manual_id
INNER JOIN devices AS d ON l.device_id = d.device_id
LEFT JOIN owners AS o ON l.owner_id = o.owner_id
WHERE l.hour_us >= $from_us AND l.hour_us < $to_us
GROUP BY ALL
ORDER BY l.hour_us, l.offset_us, l.device_id, l.owner_id, l.state;

-- What holders' hours on devices before faults were charged, as held and as used: part by part where a price turned.
WITH spans AS (
    SELECT DISTINCT
        s.device_id,
        unnest(range(s.start_us - s.start_us % 3600000000, s.end_us, 3600000000)) AS hour_us
    FROM fault_spans AS s
),

wanted AS (
    SELECT DISTINCT
        s.device_id,
        s.hour_us
    FROM spans AS s
)

SELECT
    c.device_id,
    c.holder_id,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts,
    c.hour_us + c.offset_us AS start_us,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    sum(c.held_us)::BIGINT AS held_us,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta,
    coalesce(sum(
        coalesce(c.active_cost_quanta, 0)
        + (c.cost_quanta::HUGEINT * c.active_unknown_us // nullif(c.held_us, 0))::BIGINT
    ), 0)::BIGINT AS used_quanta,
    bool_or(c.cost_quanta IS NULL) AS unpriced
FROM charges AS c
INNER JOIN wanted AS w ON c.device_id = w.device_id AND c.hour_us = w.hour_us
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE c.holder_id IS NOT NULL AND c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY ALL
ORDER BY c.device_id, c.holder_id, start_us;

-- Time of closed periods that has no price, by part of its hour, owner and state, with what prices look at;
-- [from_us, to_us) bounds it.
WITH closed AS (
    SELECT c.*
    FROM current_charges AS c
    SEMI JOIN closed_periods AS p ON c.hour_us >= p.from_us AND c.hour_us < p.to_us
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.price_entry IS NULL
)

SELECT
    c.hour_us,
    c.offset_us,
    c.device_id,
    c.owner_id,
    c.state,
    d.cluster,
    d.node,
    d.device_key,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    sum(c.held_us)::BIGINT AS held_us
FROM closed AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
GROUP BY ALL
ORDER BY
    c.hour_us, c.offset_us, d.cluster, d.node, d.device_key, c.device_id, organisation, department, team, project,
    c.owner_id, c.state;

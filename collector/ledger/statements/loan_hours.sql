-- Held and idle time of a period by hour, scope of shares and team, in microseconds x parts: all that existed, worked
-- and was seen. Time that was unavailable or unobserved is no capacity. loan_scopes says which devices are in which
-- scope (each in one at most) from when until when; both are on the hour.
WITH placed AS (
    SELECT
        d.device_id,
        d.parts,
        s.scope,
        s.from_us,
        s.to_us,
        d.kind = 'pool' AND d.units IS NULL AS boundless
    FROM devices AS d
    INNER JOIN loan_scopes AS s ON d.cluster = s.cluster AND d.pool = s.pool AND d.model = s.model
),

summed AS (
    SELECT
        c.hour_us,
        p.scope,
        c.owner_id,
        c.state <> 3 AS held,
        sum(c.held_us * p.parts) AS part_us,
        sum(coalesce(c.cost_quanta, 0)) AS cost_quanta,
        bool_or(p.boundless) AS boundless
    FROM charges AS c
    INNER JOIN placed AS p ON c.device_id = p.device_id AND c.hour_us >= p.from_us AND c.hour_us < p.to_us
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.state NOT IN (4, 5)
    GROUP BY c.hour_us, p.scope, c.owner_id, c.state <> 3
)

SELECT
    s.hour_us,
    s.scope,
    s.held,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    sum(s.part_us)::BIGINT AS part_us,
    sum(s.cost_quanta)::BIGINT AS cost_quanta,
    bool_or(s.boundless) AS boundless
FROM summed AS s
LEFT JOIN owners AS o ON s.owner_id = o.owner_id
GROUP BY ALL
ORDER BY s.hour_us, s.scope, s.held, organisation, department, team;

-- Charges of a period as policies take them: by owner, kind of device, state, reason and spell (in which no policy
-- begins or ends). Of what was held: the cost of active time, and that of time whose activity nobody observed. What of
-- both is more than a share's own cost is counted apart: by row, and (in rows of state 0) by a holder's device-hour.
WITH spells AS (
    SELECT s.*
    FROM policy_spells AS s
),

priced AS (
    SELECT
        s.start_us AS spell_us,
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.owner_id,
        c.state,
        c.reason_id,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.cost_quanta,
        coalesce(c.cost_quanta, 0) AS row_quanta,
        CASE WHEN c.state IN (3, 4, 5) THEN 0 ELSE coalesce(c.active_cost_quanta, 0) END AS used_quanta,
        CASE
            WHEN c.state IN (3, 4, 5) THEN 0
            ELSE coalesce((c.cost_quanta::HUGEINT * c.active_unknown_us // nullif(c.held_us, 0))::BIGINT, 0)
        END AS unseen_quanta
    FROM charges AS c
    INNER JOIN spells AS s ON c.hour_us >= s.start_us AND c.hour_us < s.end_us
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

sharing AS (
    SELECT
        p.spell_us,
        p.device_id,
        p.owner_id,
        sum(p.used_quanta + p.unseen_quanta) - sum(p.row_quanta) AS excess_quanta
    FROM priced AS p
    WHERE p.holder_id IS NOT NULL
    GROUP BY p.spell_us, p.hour_us, p.device_id, p.holder_id, p.owner_id
),

lines AS (
    SELECT
        p.spell_us,
        p.device_id,
        p.owner_id,
        p.state,
        p.reason_id,
        p.held_us,
        p.active_us,
        p.active_unknown_us,
        p.cost_quanta,
        p.row_quanta,
        p.used_quanta,
        p.unseen_quanta,
        greatest(p.used_quanta + p.unseen_quanta - p.row_quanta, 0) AS beyond_quanta,
        0 AS excess_quanta
    FROM priced AS p
    UNION ALL
    SELECT
        s.spell_us,
        s.device_id,
        s.owner_id,
        0 AS state,
        0 AS reason_id,
        0 AS held_us,
        0 AS active_us,
        0 AS active_unknown_us,
        0 AS cost_quanta,
        0 AS row_quanta,
        0 AS used_quanta,
        0 AS unseen_quanta,
        0 AS beyond_quanta,
        s.excess_quanta
    FROM sharing AS s
    WHERE s.excess_quanta > 0
)

SELECT
    l.spell_us,
    d.pool,
    d.model,
    d.mig_profile,
    l.state,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    coalesce(r.reason, '') AS reason,
    sum(l.held_us * d.parts)::HUGEINT AS part_us,
    coalesce(sum(l.active_us * d.parts) FILTER (WHERE l.cost_quanta IS NOT NULL), 0)::HUGEINT AS active_part_us,
    coalesce(sum(l.active_unknown_us * d.parts) FILTER (WHERE l.cost_quanta IS NOT NULL), 0)::HUGEINT AS unseen_part_us,
    coalesce(sum(l.held_us * d.parts) FILTER (WHERE l.cost_quanta IS NULL), 0)::HUGEINT AS unpriced_part_us,
    sum(l.row_quanta)::BIGINT AS cost_quanta,
    sum(l.used_quanta)::BIGINT AS used_quanta,
    sum(l.unseen_quanta)::BIGINT AS unseen_quanta,
    sum(l.beyond_quanta)::BIGINT AS beyond_quanta,
    sum(l.excess_quanta)::BIGINT AS excess_quanta
FROM lines AS l
INNER JOIN devices AS d ON l.device_id = d.device_id
LEFT JOIN owners AS o ON l.owner_id = o.owner_id
LEFT JOIN reasons AS r ON l.reason_id = r.reason_id
GROUP BY ALL
ORDER BY l.spell_us, organisation, department, team, project, d.pool, d.model, d.mig_profile, l.state, reason;

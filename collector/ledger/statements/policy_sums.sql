-- Charges of a period as policies take them: by owner, kind of device, state, reason and spell (in which no policy
-- begins or ends). Of what was held: the cost of active time, and that of time whose activity nobody observed. What of
-- both is more than a row's own cost is counted apart; what is more by a holder's device-hour only where $by_larger
-- asks for it, in rows of state 0. Names are joined to sums, not to charges, of which there are very many.
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
        c.cost_quanta,
        CASE WHEN c.cost_quanta IS NOT NULL THEN c.active_us END AS active_us,
        CASE WHEN c.cost_quanta IS NOT NULL THEN c.active_unknown_us END AS unseen_us,
        CASE WHEN c.cost_quanta IS NULL THEN c.held_us END AS unpriced_us,
        CASE WHEN c.state NOT IN (3, 4, 5) THEN coalesce(c.active_cost_quanta, 0) ELSE 0 END AS used_quanta,
        CASE
            WHEN c.state IN (3, 4, 5) OR c.active_unknown_us = 0 OR c.cost_quanta IS NULL THEN 0
            ELSE (c.cost_quanta::HUGEINT * c.active_unknown_us // c.held_us)::BIGINT
        END AS unseen_quanta
    FROM charges AS c
    INNER JOIN spells AS s ON c.hour_us >= s.start_us AND c.hour_us < s.end_us
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

summed AS (
    SELECT
        p.spell_us,
        p.device_id,
        p.owner_id,
        p.state,
        p.reason_id,
        sum(p.held_us) AS held_us,
        sum(p.active_us) AS active_us,
        sum(p.unseen_us) AS unseen_us,
        sum(p.unpriced_us) AS unpriced_us,
        sum(p.cost_quanta) AS cost_quanta,
        sum(p.used_quanta) AS used_quanta,
        sum(p.unseen_quanta) AS unseen_quanta,
        sum(greatest(p.used_quanta + p.unseen_quanta - coalesce(p.cost_quanta, 0), 0)) AS beyond_quanta,
        0 AS excess_quanta
    FROM priced AS p
    GROUP BY p.spell_us, p.device_id, p.owner_id, p.state, p.reason_id
),

sharing AS (
    SELECT
        p.spell_us,
        p.device_id,
        p.owner_id,
        sum(p.used_quanta + p.unseen_quanta - coalesce(p.cost_quanta, 0)) AS excess_quanta
    FROM priced AS p
    WHERE $by_larger AND p.holder_id IS NOT NULL
    GROUP BY p.spell_us, p.hour_us, p.device_id, p.holder_id, p.owner_id
),

lines AS (
    SELECT * FROM summed
    UNION ALL BY NAME
    SELECT
        s.spell_us,
        s.device_id,
        s.owner_id,
        s.excess_quanta,
        0 AS state,
        0 AS reason_id
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
    coalesce(sum(l.held_us * d.parts), 0)::HUGEINT AS part_us,
    coalesce(sum(l.active_us * d.parts), 0)::HUGEINT AS active_part_us,
    coalesce(sum(l.unseen_us * d.parts), 0)::HUGEINT AS unseen_part_us,
    coalesce(sum(l.unpriced_us * d.parts), 0)::HUGEINT AS unpriced_part_us,
    coalesce(sum(l.cost_quanta), 0)::BIGINT AS cost_quanta,
    coalesce(sum(l.used_quanta), 0)::BIGINT AS used_quanta,
    coalesce(sum(l.unseen_quanta), 0)::BIGINT AS unseen_quanta,
    coalesce(sum(l.beyond_quanta), 0)::BIGINT AS beyond_quanta,
    coalesce(sum(l.excess_quanta), 0)::BIGINT AS excess_quanta
FROM lines AS l
INNER JOIN devices AS d ON l.device_id = d.device_id
LEFT JOIN owners AS o ON l.owner_id = o.owner_id
LEFT JOIN reasons AS r ON l.reason_id = r.reason_id
GROUP BY ALL
ORDER BY l.spell_us, organisation, department, team, project, d.pool, d.model, d.mig_profile, l.state, reason;

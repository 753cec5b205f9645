-- What is in question in disputes as it is known now, by what a line of a bill is about: what the disputing owner pays
-- for their charges; of corrections (after_period_id), only what was not billed before them.
WITH wanted AS (
    SELECT
        k.dispute_id,
        k.hour_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id,
        d.organisation,
        d.department,
        d.team,
        d.after_period_id
    FROM disputed_charges AS k
    INNER JOIN disputes AS d ON k.dispute_id = d.dispute_id
    SEMI JOIN asked_disputes AS a ON k.dispute_id = a.dispute_id
),

signed AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.owner_id,
        c.held_us,
        coalesce(c.cost_quanta, 0) AS cost_quanta,
        -1 AS billed_by
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.owner_id,
        -c.held_us AS held_us,
        -coalesce(c.cost_quanta, 0) AS cost_quanta,
        0 AS billed_by
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        k.hour_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id,
        k.owner_id,
        -k.held_us AS held_us,
        -k.cost_quanta AS cost_quanta,
        k.period_id AS billed_by
    FROM corrections AS k
    WHERE k.hour_us >= $from_us AND k.hour_us < $to_us
)

SELECT
    w.dispute_id,
    d.model,
    d.mig_profile,
    w.state,
    coalesce(o.project, '') AS project,
    sum(s.held_us * d.parts)::HUGEINT AS part_us,
    sum(s.cost_quanta)::BIGINT AS cost_quanta
FROM wanted AS w
INNER JOIN signed AS s
    ON
        w.hour_us = s.hour_us
        AND w.device_id = s.device_id
        AND w.holder_id IS NOT DISTINCT FROM s.holder_id
        AND w.state = s.state
        AND w.reason_id = s.reason_id
        AND w.after_period_id > s.billed_by
INNER JOIN devices AS d ON w.device_id = d.device_id
LEFT JOIN owners AS o ON s.owner_id = o.owner_id
WHERE
    coalesce(o.organisation, '') = w.organisation
    AND coalesce(o.department, '') = w.department
    AND coalesce(o.team, '') = w.team
GROUP BY ALL
ORDER BY ALL;

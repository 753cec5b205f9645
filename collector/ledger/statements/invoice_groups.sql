-- What each team is billed in a period, as the lines of its invoice; corrections stand apart by what they correct.
-- Time that no team owns is the platform's: its team is empty. Corrections that sum to nothing are a line too: each of
-- them is on an invoice.
WITH billed AS (
    SELECT
        'charge' AS kind,
        '' AS corrects,
        c.device_id,
        c.owner_id,
        c.state,
        c.held_us,
        coalesce(c.cost_quanta, 0) AS cost_quanta
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        'correction' AS kind,
        p.label AS corrects,
        k.device_id,
        k.owner_id,
        k.state,
        k.held_us,
        k.cost_quanta
    FROM corrections AS k
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
    WHERE k.period_id = $period_id
)

SELECT
    b.kind,
    b.state,
    b.corrects,
    d.model,
    d.mig_profile,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    sum(b.held_us * d.parts)::HUGEINT AS part_us,
    sum(b.cost_quanta)::BIGINT AS cost_quanta
FROM billed AS b
INNER JOIN devices AS d ON b.device_id = d.device_id
LEFT JOIN owners AS o ON b.owner_id = o.owner_id
GROUP BY ALL
ORDER BY organisation, department, team, b.kind, project, d.model, d.mig_profile, b.state, b.corrects;

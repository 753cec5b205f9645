-- What each team is billed in a period, as the lines of its invoice; corrections stand apart by what they correct, and
-- adjustments by their reason. Time that no team owns is the platform's: its team is empty. Lines that sum to nothing
-- are lines too: each charge, correction and adjustment is on an invoice.
WITH hourly AS (
    SELECT
        'charge' AS kind,
        '' AS corrects,
        c.device_id,
        c.owner_id,
        c.state,
        c.held_us,
        c.price_entry,
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
        k.price_entry,
        k.cost_quanta
    FROM corrections AS k
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
    WHERE k.period_id = $period_id
),

billed AS (
    SELECT
        h.kind,
        h.state,
        h.corrects,
        '' AS because,
        d.model,
        d.mig_profile,
        coalesce(o.organisation, '') AS organisation,
        coalesce(o.department, '') AS department,
        coalesce(o.team, '') AS team,
        coalesce(o.project, '') AS project,
        h.held_us * d.parts AS part_us,
        CASE WHEN h.price_entry IS NULL THEN h.held_us * d.parts ELSE 0 END AS unpriced_part_us,
        h.cost_quanta
    FROM hourly AS h
    INNER JOIN devices AS d ON h.device_id = d.device_id
    LEFT JOIN owners AS o ON h.owner_id = o.owner_id
    UNION ALL
    SELECT
        a.kind,
        a.state,
        a.corrects,
        a.because,
        a.model,
        a.mig_profile,
        a.organisation,
        a.department,
        a.team,
        a.project,
        a.part_us,
        0 AS unpriced_part_us,
        a.cost_quanta
    FROM adjustments AS a
    WHERE a.period_id = $period_id
)

SELECT
    b.kind,
    b.state,
    b.corrects,
    b.because,
    b.model,
    b.mig_profile,
    b.organisation,
    b.department,
    b.team,
    b.project,
    sum(b.part_us)::HUGEINT AS part_us,
    sum(b.unpriced_part_us)::HUGEINT AS unpriced_part_us,
    sum(b.cost_quanta)::BIGINT AS cost_quanta
FROM billed AS b
GROUP BY ALL
ORDER BY
    b.organisation, b.department, b.team, b.kind, b.project, b.model, b.mig_profile, b.state, b.corrects, b.because;

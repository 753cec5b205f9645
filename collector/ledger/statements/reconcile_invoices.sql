-- Where the invoices of a closed period are not its bill: a line that its charges, corrections and adjustments do not
-- sum to, cents that lines and invoice disagree about, a total that was stored otherwise.
WITH hourly AS (
    SELECT
        'charge' AS kind,
        c.device_id,
        c.owner_id,
        c.state,
        c.held_us,
        c.price_entry,
        '' AS corrects,
        coalesce(c.cost_quanta, 0) AS cost_quanta
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        'correction' AS kind,
        k.device_id,
        k.owner_id,
        k.state,
        k.held_us,
        k.price_entry,
        p.label AS corrects,
        k.cost_quanta
    FROM corrections AS k
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
    WHERE k.period_id = $period_id
),

signed AS (
    SELECT
        coalesce(o.organisation, '') AS organisation,
        coalesce(o.department, '') AS department,
        coalesce(o.team, '') AS team,
        coalesce(o.project, '') AS project,
        h.kind,
        '' AS because,
        d.model,
        d.mig_profile,
        h.state,
        h.corrects,
        sum(h.held_us * d.parts)::HUGEINT AS part_us,
        coalesce(sum(h.held_us * d.parts) FILTER (WHERE h.price_entry IS NULL), 0)::HUGEINT AS unpriced_part_us,
        sum(h.cost_quanta)::HUGEINT AS cost_quanta
    FROM hourly AS h
    INNER JOIN devices AS d ON h.device_id = d.device_id
    LEFT JOIN owners AS o ON h.owner_id = o.owner_id
    GROUP BY ALL
    UNION ALL
    SELECT
        a.organisation,
        a.department,
        a.team,
        a.project,
        a.kind,
        a.because,
        a.model,
        a.mig_profile,
        a.state,
        a.corrects,
        a.part_us,
        0 AS unpriced_part_us,
        a.cost_quanta
    FROM adjustments AS a
    WHERE a.period_id = $period_id
    UNION ALL
    SELECT
        i.organisation,
        i.department,
        i.team,
        l.project,
        l.kind,
        coalesce(l.because, '') AS because,
        l.model,
        l.mig_profile,
        l.state,
        l.corrects,
        -l.part_us AS part_us,
        -l.unpriced_part_us AS unpriced_part_us,
        -l.cost_quanta AS cost_quanta
    FROM invoice_lines AS l
    INNER JOIN invoices AS i ON l.invoice_number = i.invoice_number
    WHERE i.period_id = $period_id
),

off AS (
    SELECT
        s.organisation,
        s.department,
        s.team
    FROM signed AS s
    GROUP BY
        s.organisation, s.department, s.team, s.project, s.kind, s.because, s.model, s.mig_profile, s.state,
        s.corrects
    HAVING sum(s.part_us) <> 0 OR sum(s.unpriced_part_us) <> 0 OR sum(s.cost_quanta) <> 0
),

uneven AS (
    SELECT
        i.organisation,
        i.department,
        i.team
    FROM invoices AS i
    INNER JOIN invoice_lines AS l ON i.invoice_number = l.invoice_number
    WHERE i.period_id = $period_id
    GROUP BY ALL
    HAVING
        sum(l.payable_cents) <> any_value(i.payable_cents)
        OR sum(l.cost_quanta) <> any_value(i.cost_quanta)
        OR abs(any_value(i.cost_quanta) - any_value(i.payable_cents) * 10000000) >= 10000000 * $smallest
)

SELECT
    f.organisation,
    f.department,
    f.team
FROM off AS f
UNION
SELECT
    u.organisation,
    u.department,
    u.team
FROM uneven AS u
ORDER BY organisation, department, team;

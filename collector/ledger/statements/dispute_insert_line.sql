-- The charges, or the corrected charges, of a line of an invoice are what a dispute is about (line 0: all charges).
INSERT INTO disputed_charges BY NAME
WITH lines AS (
    SELECT
        l.kind,
        l.project,
        l.model,
        l.mig_profile,
        l.state,
        l.corrects,
        i.organisation,
        i.department,
        i.team,
        p.period_id,
        p.from_us,
        p.to_us
    FROM invoice_lines AS l
    INNER JOIN invoices AS i ON l.invoice_number = i.invoice_number
    INNER JOIN closed_periods AS p ON i.period_id = p.period_id
    WHERE l.invoice_number = $invoice_number AND (l.line = $line OR ($line = 0 AND l.kind = 'charge'))
),

billed AS (
    SELECT
        'charge' AS kind,
        '' AS corrects,
        NULL AS period_id,
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.owner_id
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        'correction' AS kind,
        p.label AS corrects,
        k.period_id,
        k.hour_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id,
        k.owner_id
    FROM corrections AS k
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
)

SELECT DISTINCT
    b.hour_us,
    b.device_id,
    b.holder_id,
    b.state,
    b.reason_id,
    $dispute_id::INTEGER AS dispute_id
FROM billed AS b
INNER JOIN devices AS d ON b.device_id = d.device_id
LEFT JOIN owners AS o ON b.owner_id = o.owner_id
INNER JOIN lines AS l
    ON
        b.kind = l.kind
        AND b.corrects = l.corrects
        AND (b.period_id IS NULL OR b.period_id = l.period_id)
        AND d.model = l.model
        AND d.mig_profile = l.mig_profile
        AND b.state = l.state
        AND coalesce(o.organisation, '') = l.organisation
        AND coalesce(o.department, '') = l.department
        AND coalesce(o.team, '') = l.team
        AND coalesce(o.project, '') = l.project;

-- Which lines of an invoice are disputed, or have charges that are.
WITH lines AS (
    SELECT
        l.line,
        l.kind,
        l.project,
        l.model,
        l.mig_profile,
        l.state,
        i.organisation,
        i.department,
        i.team,
        p.from_us,
        p.to_us
    FROM invoice_lines AS l
    INNER JOIN invoices AS i ON l.invoice_number = i.invoice_number
    INNER JOIN closed_periods AS p ON i.period_id = p.period_id
    WHERE l.invoice_number = $invoice_number
),

about AS (
    SELECT DISTINCT
        s.dispute_id,
        l.line
    FROM dispute_states AS s
    INNER JOIN disputed_charges AS k ON s.dispute_id = k.dispute_id
    INNER JOIN charges AS c
        ON
            k.hour_us = c.hour_us
            AND k.device_id = c.device_id
            AND k.holder_id IS NOT DISTINCT FROM c.holder_id
            AND k.state = c.state
            AND k.reason_id = c.reason_id
    INNER JOIN devices AS d ON k.device_id = d.device_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    INNER JOIN lines AS l
        ON
            l.kind = 'charge'
            AND k.hour_us >= l.from_us
            AND k.hour_us < l.to_us
            AND s.organisation = l.organisation
            AND s.department = l.department
            AND s.team = l.team
            AND coalesce(o.project, '') = l.project
            AND coalesce(o.team, '') = l.team
            AND d.model = l.model
            AND d.mig_profile = l.mig_profile
            AND k.state = l.state
    WHERE s.after_period_id = 0
    UNION
    SELECT
        s.dispute_id,
        l.line
    FROM dispute_states AS s
    INNER JOIN lines AS l ON s.line = l.line
    WHERE s.invoice_number = $invoice_number
)

SELECT
    a.line,
    s.dispute_id,
    s.ended,
    s.decision
FROM about AS a
INNER JOIN dispute_states AS s ON a.dispute_id = s.dispute_id
ORDER BY a.line, s.dispute_id;

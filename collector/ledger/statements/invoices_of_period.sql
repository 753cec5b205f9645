-- Every line of every invoice of a period, as it is stored.
SELECT
    i.invoice_number,
    i.kind AS document_kind,
    i.organisation,
    i.department,
    i.team,
    i.currency,
    i.part_us AS invoice_part_us,
    i.observed_part_us,
    i.cost_quanta AS invoice_quanta,
    i.payable_cents AS invoice_cents,
    i.issued_us,
    l.line,
    l.kind,
    l.project,
    l.model,
    l.mig_profile,
    l.state,
    l.corrects,
    l.because,
    l.part_us,
    l.unpriced_part_us,
    l.cost_quanta,
    l.payable_cents
FROM invoices AS i
LEFT JOIN invoice_lines AS l ON i.invoice_number = l.invoice_number
WHERE i.period_id = $period_id
ORDER BY i.invoice_number, l.line;

-- The lines of one invoice.
SELECT
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
FROM invoice_lines AS l
WHERE l.invoice_number = $invoice_number
ORDER BY l.line;

-- Invoices in the order of their numbers: one, or all (number 0).
SELECT
    i.invoice_number,
    i.kind,
    i.organisation,
    i.department,
    i.team,
    i.currency,
    i.part_us,
    i.observed_part_us,
    i.cost_quanta,
    i.payable_cents,
    i.issued_us,
    p.label,
    p.from_us,
    p.to_us,
    p.digest
FROM invoices AS i
INNER JOIN closed_periods AS p ON i.period_id = p.period_id
WHERE $invoice_number IN (0, i.invoice_number)
ORDER BY i.invoice_number;

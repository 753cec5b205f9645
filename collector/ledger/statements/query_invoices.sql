-- Invoices in the order of their numbers: one, or all (number 0).
WITH own AS (
    SELECT
        l.invoice_number,
        sum(l.part_us) FILTER (WHERE l.kind = 'charge')::HUGEINT AS own_part_us,
        sum(l.unpriced_part_us)::HUGEINT AS unpriced_part_us
    FROM invoice_lines AS l
    GROUP BY l.invoice_number
)

SELECT
    i.invoice_number,
    i.period_id,
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
    p.zone,
    p.exception,
    p.digest,
    coalesce(o.own_part_us, 0)::HUGEINT AS own_part_us,
    coalesce(o.unpriced_part_us, 0)::HUGEINT AS unpriced_part_us
FROM invoices AS i
INNER JOIN closed_periods AS p ON i.period_id = p.period_id
LEFT JOIN own AS o ON i.invoice_number = o.invoice_number
WHERE $invoice_number IN (0, i.invoice_number)
ORDER BY i.invoice_number;

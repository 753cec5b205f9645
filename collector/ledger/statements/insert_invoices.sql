INSERT INTO invoices BY NAME
SELECT
    invoice_number,
    period_id,
    kind,
    organisation,
    department,
    team,
    currency,
    part_us,
    observed_part_us,
    cost_quanta,
    payable_cents,
    issued_us
FROM new_invoices

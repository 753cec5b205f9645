INSERT INTO invoice_lines BY NAME
SELECT
    invoice_number,
    line,
    kind,
    project,
    model,
    mig_profile,
    state,
    corrects,
    because,
    part_us,
    unpriced_part_us,
    cost_quanta,
    payable_cents
FROM new_lines

-- The corrections that were worked out for the period being closed, onto its bill.
INSERT INTO corrections BY NAME
SELECT
    n.*,
    $period_id::INTEGER AS period_id
FROM new_corrections AS n;

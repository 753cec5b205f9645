INSERT INTO disputes (
    dispute_id, subject, invoice_number, line, organisation, department, team, from_us, to_us, after_period_id,
    fixed_quanta
) VALUES (
    $dispute_id,
    $subject,
    $invoice_number,
    $line,
    $organisation,
    $department,
    $team,
    $from_us,
    $to_us,
    $after_period_id,
    $fixed_quanta
);

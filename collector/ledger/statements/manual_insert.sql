INSERT INTO manual_adjustments (manual_id, reference, entered_us, entered_by, why, from_us, to_us) VALUES (
    $manual_id,
    $reference,
    $entered_us,
    $entered_by,
    $why,
    $from_us,
    $to_us
);

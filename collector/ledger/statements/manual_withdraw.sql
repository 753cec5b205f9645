INSERT INTO manual_withdrawals (manual_id, at_us, withdrawn_by, why) VALUES (
    $manual_id,
    $at_us,
    $withdrawn_by,
    $why
);

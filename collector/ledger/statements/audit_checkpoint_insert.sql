INSERT INTO audit_checkpoints VALUES (
    $size,
    $at_us,
    $note,
    $edge
);

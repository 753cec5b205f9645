-- What became of a notice.
INSERT INTO notice_steps (
    notice_id, step, state, at_us, due_us, attempts, reason
) VALUES (
    $notice_id,
    $step,
    $state,
    $at_us,
    $due_us,
    $attempts,
    $reason
);

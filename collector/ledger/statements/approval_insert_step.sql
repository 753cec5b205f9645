-- Something that was done about a request.
INSERT INTO approval_steps (
    approval_id, step, what, at_us, by_whom, why, roles, made
) VALUES (
    $approval_id,
    $step,
    $what,
    $at_us,
    $by_whom,
    $why,
    $roles,
    $made
);

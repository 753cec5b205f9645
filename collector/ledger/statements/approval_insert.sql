-- A request.
INSERT INTO approval_requests (
    approval_id, kind, owner, wanted, from_us, to_us, expires_us, decision_id, requirements
) VALUES (
    $approval_id,
    $kind,
    $owner,
    $wanted,
    $from_us,
    $to_us,
    $expires_us,
    $decision_id,
    $requirements
);

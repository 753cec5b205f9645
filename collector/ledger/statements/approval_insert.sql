-- A request.
INSERT INTO approval_requests
SELECT
    $approval_id,
    $kind,
    $owner,
    $wanted,
    $from_us,
    $to_us,
    $expires_us,
    $decision_id,
    $requirements;

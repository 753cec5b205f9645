-- Requests: one, or all (approval_id 0), whose effect ends after $ending_us (0: with or without one) and that expire in
-- [$from_us, $to_us).
SELECT
    a.approval_id,
    a.kind,
    a.owner,
    a.wanted,
    a.from_us,
    a.to_us,
    a.expires_us,
    a.decision_id,
    a.requirements
FROM approval_requests AS a
WHERE
    $approval_id IN (0, a.approval_id)
    AND ($ending_us = 0 OR a.to_us > $ending_us)
    AND a.expires_us >= $from_us AND a.expires_us < $to_us
ORDER BY a.approval_id;

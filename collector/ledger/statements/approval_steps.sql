-- What was done, in order, about the requests that approval_requests returns for the same parameters.
SELECT
    s.approval_id,
    s.step,
    s.what,
    s.at_us,
    s.by_whom,
    s.why,
    s.roles,
    s.made
FROM approval_steps AS s
INNER JOIN approval_requests AS a ON s.approval_id = a.approval_id
WHERE
    $approval_id IN (0, a.approval_id)
    AND ($ending_us = 0 OR a.to_us > $ending_us)
    AND a.expires_us >= $from_us AND a.expires_us < $to_us
ORDER BY s.approval_id, s.step;

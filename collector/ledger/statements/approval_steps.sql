-- What was done about requests, in order: about one, or all (approval_id 0).
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
WHERE $approval_id IN (0, s.approval_id)
ORDER BY s.approval_id, s.step;

-- Requests: one, or all (approval_id 0).
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
WHERE $approval_id IN (0, a.approval_id)
ORDER BY a.approval_id;

-- The number of the next request: they have no gaps.
SELECT coalesce(max(a.approval_id), 0) + 1 AS approval_id
FROM approval_requests AS a;

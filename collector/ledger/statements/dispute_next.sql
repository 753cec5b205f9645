-- The number of the next dispute: they have no gaps.
SELECT coalesce(max(d.dispute_id), 0) + 1 AS dispute_id
FROM disputes AS d;

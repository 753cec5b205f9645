-- The number of the next crossing, and of the next notice.
SELECT
    (SELECT coalesce(max(c.crossing_id), 0) + 1 FROM budget_crossings AS c) AS crossing_id,
    (SELECT coalesce(max(n.notice_id), 0) + 1 FROM notices AS n) AS notice_id;

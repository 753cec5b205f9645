-- The number of the next crossing, of a budget or a quota, and of the next notice.
SELECT
    greatest(
        (SELECT coalesce(max(c.crossing_id), 0) FROM budget_crossings AS c),
        (SELECT coalesce(max(c.crossing_id), 0) FROM quota_crossings AS c)
    )
    + 1 AS crossing_id,
    (SELECT coalesce(max(n.notice_id), 0) + 1 FROM notices AS n) AS notice_id;

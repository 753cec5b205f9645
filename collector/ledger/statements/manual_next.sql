-- The number of the next adjustment that somebody enters: they have no gaps.
SELECT coalesce(max(m.manual_id), 0) + 1 AS manual_id
FROM manual_adjustments AS m;

-- The number of the next comparison that is kept.
SELECT coalesce(max(r.run_id), 0) + 1 AS run_id
FROM drift_runs AS r;

-- The newest comparison that was kept of each dimension, found at or after since_us, with a row for each thing that
-- drifted; a comparison in which nothing did has one row without a scope.
WITH newest AS (
    SELECT
        r.run_id,
        r.found_us,
        r.dimension,
        r.level,
        r.reference_from_us,
        r.reference_to_us,
        r.current_from_us,
        r.current_to_us,
        r.tested,
        r.left_out
    FROM drift_runs AS r
    WHERE r.found_us >= $since_us
    QUALIFY row_number() OVER (PARTITION BY r.dimension ORDER BY r.run_id DESC) = 1
)

SELECT
    n.found_us,
    n.dimension,
    n.level,
    n.reference_from_us,
    n.reference_to_us,
    n.current_from_us,
    n.current_to_us,
    n.tested,
    n.left_out,
    d.scope,
    d.metric,
    d.verdict,
    d.score,
    d.q,
    d.reference_mean,
    d.current_mean
FROM newest AS n
LEFT JOIN drift_results AS d ON n.run_id = d.run_id
ORDER BY n.dimension ASC, d.score DESC, d.scope ASC, d.metric ASC;

INSERT INTO drift_results BY NAME
SELECT
    n.scope,
    n.metric,
    n.verdict,
    n.score,
    n.q,
    n.reference_mean,
    n.current_mean,
    $run_id::INTEGER AS run_id
FROM new_drift AS n;

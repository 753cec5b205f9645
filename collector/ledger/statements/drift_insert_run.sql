INSERT INTO drift_runs (
    run_id, found_us, dimension, level, reference_from_us, reference_to_us, current_from_us, current_to_us, tested,
    left_out
) VALUES (
    $run_id,
    $found_us,
    $dimension,
    $level,
    $reference_from_us,
    $reference_to_us,
    $current_from_us,
    $current_to_us,
    $tested,
    $left_out
);

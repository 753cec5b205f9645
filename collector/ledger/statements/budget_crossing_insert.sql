-- A stage that a budget reached.
INSERT INTO budget_crossings (
    crossing_id, budget, period, stage, at_us, budget_version, owner, action, currency, measured_quanta, limit_quanta
) VALUES (
    $crossing_id,
    $budget,
    $period,
    $stage,
    $at_us,
    $budget_version,
    $owner,
    $action,
    $currency,
    $measured_quanta,
    $limit_quanta
);

-- What is known now about hours of closed periods goes onto the bill of the period that is being closed.
INSERT INTO corrections BY NAME
SELECT
    p.corrects_period_id,
    p.hour_us,
    p.device_id,
    p.holder_id,
    p.state,
    p.reason_id,
    p.owner_id,
    p.price_version,
    p.price_entry,
    p.owner_version,
    p.rate_quanta,
    p.held_us,
    p.cost_quanta,
    $period_id::INTEGER AS period_id
FROM pending_corrections AS p;

-- The corrections that were worked out for the period being closed, onto its bill.
INSERT INTO corrections BY NAME
SELECT
    n.corrects_period_id,
    n.hour_us,
    n.offset_us,
    n.device_id,
    n.holder_id,
    n.state,
    n.reason_id,
    n.owner_id,
    n.price_version,
    n.price_entry,
    n.owner_version,
    n.rate_quanta,
    n.held_us,
    n.cost_quanta,
    $period_id::INTEGER AS period_id
FROM new_corrections AS n;

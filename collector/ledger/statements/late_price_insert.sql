INSERT INTO late_prices BY NAME
SELECT
    n.hour_us,
    n.offset_us,
    n.device_id,
    n.owner_id,
    n.state,
    n.price_version,
    n.price_entry,
    n.rate_quanta,
    n.cost_quanta,
    $manual_id::INTEGER AS manual_id
FROM new_late_prices AS n;

-- What tells whether any charge of a period is another one than it was.
SELECT
    count(*) AS charge_count,
    coalesce(sum(hash(
        c.hour_us, c.device_id, c.holder_id, c.state, c.reason_id, c.owner_id, c.held_us, c.active_us,
        c.active_unknown_us, c.energy_mj, c.energy_unknown_us, c.price_version, c.price_entry, c.owner_version,
        c.rate_quanta, c.cost_quanta, c.active_cost_quanta, c.offset_us
    )), 0)::HUGEINT AS charge_hash
FROM charges AS c
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us;

-- What tells whether corrections that were worked out are still what would be: all that they follow from, but for the
-- charges of closed periods, which stay as they are.
SELECT
    (
        SELECT count(p.period_id)
        FROM closed_periods AS p
    ) AS period_count,
    (
        SELECT count(h.hour_us)
        FROM restated_hours AS h
    ) AS hour_count,
    (
        SELECT count(k.hour_us)
        FROM corrections AS k
    ) AS correction_count,
    count(*) AS charge_count,
    coalesce(sum(hash(
        n.hour_us, n.device_id, n.holder_id, n.state, n.reason_id, n.owner_id, n.price_version, n.price_entry,
        n.owner_version, n.rate_quanta, n.held_us, n.cost_quanta, n.offset_us
    )), 0)::HUGEINT AS charge_hash
FROM restated_charges AS n;

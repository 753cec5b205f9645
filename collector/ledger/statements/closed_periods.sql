-- The periods that are closed, in order of time.
SELECT
    p.period_id,
    p.from_us,
    p.to_us,
    p.label,
    p.closed_us,
    p.closed_by,
    p.exception,
    p.currency,
    p.price_version,
    p.owner_version,
    p.share_version,
    p.policy_version,
    p.charge_count,
    p.charge_quanta,
    p.unpriced_part_us,
    p.unobserved_part_us,
    p.correction_count,
    p.correction_quanta,
    p.adjustment_count,
    p.adjustment_quanta,
    p.digest,
    p.zone,
    p.last_batch_id
FROM closed_periods AS p
ORDER BY p.from_us;

INSERT INTO closed_periods (
    period_id, from_us, to_us, label, closed_us, closed_by, exception, currency, price_version, owner_version,
    share_version, policy_version, charge_count, charge_quanta, unpriced_part_us, unobserved_part_us, correction_count,
    correction_quanta, adjustment_count, adjustment_quanta, digest, zone, last_batch_id
) VALUES (
    $period_id,
    $from_us,
    $to_us,
    $label,
    $closed_us,
    $closed_by,
    $exception,
    $currency,
    $price_version,
    $owner_version,
    $share_version,
    $policy_version,
    $charge_count,
    $charge_quanta,
    $unpriced_part_us,
    $unobserved_part_us,
    $correction_count,
    $correction_quanta,
    $adjustment_count,
    $adjustment_quanta,
    $digest,
    $zone,
    $last_batch_id
);

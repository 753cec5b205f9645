-- The sums of a day.
INSERT INTO charge_days BY NAME
SELECT
    $from_us AS day_us,
    min(c.hour_us) AS first_hour_us,
    max(c.hour_us) AS last_hour_us,
    c.device_id,
    c.holder_id,
    c.state,
    c.reason_id,
    c.owner_id,
    c.price_version,
    c.price_entry,
    sum(c.held_us)::BIGINT AS held_us,
    sum(c.active_us)::BIGINT AS active_us,
    sum(c.active_unknown_us)::BIGINT AS active_unknown_us,
    sum(c.energy_mj)::BIGINT AS energy_mj,
    sum(c.energy_unknown_us)::BIGINT AS energy_unknown_us,
    sum(c.cost_quanta)::BIGINT AS cost_quanta,
    sum(c.active_cost_quanta)::BIGINT AS active_cost_quanta,
    sum(
        unwatched_cost(c.held_us, c.active_us, c.active_unknown_us, c.cost_quanta, c.active_cost_quanta)
    )::BIGINT AS unwatched_cost_quanta
FROM charges AS c
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY
    c.device_id, c.holder_id, c.state, c.reason_id, c.owner_id, c.price_version, c.price_entry,
    c.cost_quanta IS NULL; -- what has no price is told by either, and stays apart

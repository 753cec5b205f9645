-- Where the sums of a day are not those of its charges, by device.
WITH signed AS (
    SELECT
        c.device_id,
        coalesce(c.holder_id, -1) AS holder_id,
        coalesce(c.owner_id, -1) AS owner_id,
        coalesce(c.price_version, -1) AS price_version,
        coalesce(c.price_entry, -1) AS price_entry,
        c.state,
        c.reason_id,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.energy_unknown_us,
        coalesce(c.cost_quanta, 0) AS cost_quanta,
        coalesce(c.active_cost_quanta, 0) AS active_cost_quanta,
        coalesce(
            unwatched_cost(c.held_us, c.active_us, c.active_unknown_us, c.cost_quanta, c.active_cost_quanta), 0
        ) AS unwatched_cost_quanta
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        c.device_id,
        coalesce(c.holder_id, -1) AS holder_id,
        coalesce(c.owner_id, -1) AS owner_id,
        coalesce(c.price_version, -1) AS price_version,
        coalesce(c.price_entry, -1) AS price_entry,
        c.state,
        c.reason_id,
        -c.held_us AS held_us,
        -c.active_us AS active_us,
        -c.active_unknown_us AS active_unknown_us,
        -c.energy_mj AS energy_mj,
        -c.energy_unknown_us AS energy_unknown_us,
        -coalesce(c.cost_quanta, 0) AS cost_quanta,
        -coalesce(c.active_cost_quanta, 0) AS active_cost_quanta,
        -coalesce(c.unwatched_cost_quanta, 0) AS unwatched_cost_quanta
    FROM charge_days AS c
    WHERE c.day_us = $from_us
),

unequal AS (
    SELECT
        s.device_id,
        sum(s.held_us)::BIGINT AS held_us,
        sum(s.cost_quanta)::BIGINT AS cost_quanta
    FROM signed AS s
    GROUP BY s.device_id, s.holder_id, s.owner_id, s.price_version, s.price_entry, s.state, s.reason_id
    HAVING
        sum(s.held_us) <> 0 OR sum(s.active_us) <> 0 OR sum(s.active_unknown_us) <> 0 OR sum(s.energy_mj) <> 0
        OR sum(s.energy_unknown_us) <> 0 OR sum(s.cost_quanta) <> 0 OR sum(s.active_cost_quanta) <> 0
        OR sum(s.unwatched_cost_quanta) <> 0
)

SELECT
    u.device_id,
    u.held_us,
    u.cost_quanta
FROM unequal AS u
ORDER BY u.device_id, u.held_us, u.cost_quanta;

-- Charges of a period by one property of their holder, owner or device, and by state. Sizes are microseconds x parts.
-- Summed by the small keys that charges carry first, and by the names behind them then: a name is looked up once a
-- group, not once a charge.
-- Held time is unwatched where its activity is not known; it costs what the charge's active time leaves of its cost, by
-- time. What has no price is counted, never costed at zero. `scope` and the names after it narrow to a part of the
-- ledger. Days from days_from_us up to days_to_us are summed already: there are none in a part of the ledger, nor where
-- the carbon intensity of hours is known.
WITH hourly AS (
    SELECT
        e.price_version,
        e.entry,
        i.hour_us,
        i.g_per_kwh
    FROM price_entries AS e
    INNER JOIN carbon_known AS i ON e.carbon_region = i.region
    WHERE i.hour_us >= $from_us AND i.hour_us < $to_us
),

chosen AS (
    SELECT
        c.state,
        c.price_version,
        c.price_entry,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.energy_unknown_us,
        c.cost_quanta,
        c.active_cost_quanta,
        d.parts,
        i.g_per_kwh,
        unwatched_cost(
            c.held_us, c.active_us, c.active_unknown_us, c.cost_quanta, c.active_cost_quanta
        ) AS unwatched_cost_quanta,
        key_of($by, c.owner_id, c.device_id, c.holder_id) AS key_id
    FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN hourly AS i ON c.price_version = i.price_version AND c.price_entry = i.entry AND c.hour_us = i.hour_us
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.hour_us < $days_from_us OR c.hour_us >= $days_to_us)
    UNION ALL
    SELECT
        c.state,
        c.price_version,
        c.price_entry,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.energy_unknown_us,
        c.cost_quanta,
        c.active_cost_quanta,
        d.parts,
        NULL AS g_per_kwh,
        c.unwatched_cost_quanta,
        key_of($by, c.owner_id, c.device_id, c.holder_id) AS key_id
    FROM charge_days AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    WHERE c.day_us >= $days_from_us AND c.day_us < $days_to_us
),

narrow AS (
    SELECT
        c.key_id,
        c.state,
        c.price_version,
        c.price_entry,
        c.parts,
        c.g_per_kwh IS NOT NULL AS hourly,
        sum(c.held_us) AS held_us,
        sum(c.active_us) AS active_us,
        sum(c.active_unknown_us) AS active_unknown_us,
        sum(c.energy_mj) AS energy_mj,
        sum(c.energy_unknown_us) AS energy_unknown_us,
        sum(c.energy_mj::DECIMAL(19, 0) * c.g_per_kwh) AS hourly_carbon_g_mj,
        sum(c.cost_quanta) AS cost_quanta,
        sum(c.active_cost_quanta) AS active_cost_quanta,
        sum(c.unwatched_cost_quanta) AS unwatched_cost_quanta
    FROM chosen AS c
    GROUP BY ALL
),

keyed AS (
    SELECT
        n.*,
        coalesce(n.hourly_carbon_g_mj, n.energy_mj::DECIMAL(20, 0) * e.carbon_g_per_kwh) AS carbon_g_mj,
        name_of($by, o, h, d) AS group_key -- noqa: RF02
    FROM narrow AS n
    LEFT JOIN devices AS d ON n.key_id = d.device_id
    LEFT JOIN holders AS h ON n.key_id = h.holder_id
    LEFT JOIN owners AS o ON n.key_id = o.owner_id
    LEFT JOIN price_entries AS e ON n.price_version = e.price_version AND n.price_entry = e.entry
)

SELECT
    k.group_key,
    k.state,
    sum(k.held_us * k.parts) AS part_us,
    sum(k.active_us * k.parts) AS active_part_us,
    sum(k.active_unknown_us * k.parts) AS active_unknown_part_us,
    sum(k.energy_mj) AS energy_mj,
    sum(k.energy_unknown_us * k.parts) AS energy_unknown_part_us,
    coalesce(sum(k.carbon_g_mj), 0) AS carbon_g_mj,
    coalesce(sum(k.energy_mj) FILTER (WHERE k.carbon_g_mj IS NULL), 0) AS carbon_unknown_mj,
    coalesce(sum(k.energy_mj) FILTER (WHERE k.hourly), 0) AS carbon_hourly_mj,
    coalesce(sum(k.cost_quanta), 0) AS cost_quanta,
    coalesce(sum(k.held_us * k.parts) FILTER (WHERE k.price_entry IS NULL), 0) AS unpriced_part_us,
    coalesce(sum(k.active_cost_quanta), 0) AS active_cost_quanta,
    coalesce(sum(k.active_us * k.parts) FILTER (WHERE k.price_entry IS NULL), 0) AS active_unpriced_part_us,
    coalesce(sum(k.unwatched_cost_quanta), 0) AS unwatched_cost_quanta,
    coalesce(
        sum(k.active_unknown_us * k.parts) FILTER (WHERE k.price_entry IS NULL), 0
    ) AS unwatched_unpriced_part_us
FROM keyed AS k
GROUP BY k.group_key, k.state
ORDER BY k.group_key, k.state;

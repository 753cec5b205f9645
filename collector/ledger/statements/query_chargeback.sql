-- Charges of a period by one property of their holder, owner or device, and by state. Sizes are microseconds x parts.
-- Held time is unwatched where its activity is not known at all; what has no price is counted, never costed at zero.
WITH chosen AS (
    SELECT
        c.*,
        $by AS asked_by
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

keyed AS (
    SELECT
        c.state,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.energy_unknown_us,
        c.price_entry,
        c.cost_quanta,
        c.active_cost_quanta,
        d.parts,
        i.g_per_kwh AS hourly_g_per_kwh,
        coalesce(i.g_per_kwh, e.carbon_g_per_kwh) AS carbon_g_per_kwh,
        c.active_unknown_us > 0 AND c.active_us = 0 AS unwatched,
        CASE c.asked_by
            WHEN 'team' THEN o.team
            WHEN 'project' THEN o.project
            WHEN 'department' THEN o.department
            WHEN 'user' THEN h.user_name
            WHEN 'namespace' THEN h.namespace
            WHEN 'slurm_account' THEN h.slurm_account
            WHEN 'workload'
                THEN coalesce(
                    nullif(h.workload_name, ''), nullif(h.workload_id, ''), nullif(h.pod, ''),
                    'job ' || nullif(h.slurm_job, ''), nullif(h.container, ''), h.holder_key
                )
            WHEN 'model' THEN d.model
            WHEN 'node' THEN d.node
            WHEN 'device' THEN d.device_key
            WHEN 'cluster' THEN d.cluster
        END AS group_key
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN holders AS h ON c.holder_id = h.holder_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    LEFT JOIN price_entries AS e ON c.price_version = e.price_version AND c.price_entry = e.entry
    LEFT JOIN carbon_known AS i ON e.carbon_region = i.region AND c.hour_us = i.hour_us
)

SELECT
    k.group_key,
    k.state,
    sum(k.held_us * k.parts) AS part_us,
    sum(k.active_us * k.parts) AS active_part_us,
    sum(k.active_unknown_us * k.parts) AS active_unknown_part_us,
    sum(k.energy_mj) AS energy_mj,
    sum(k.energy_unknown_us * k.parts) AS energy_unknown_part_us,
    coalesce(sum(k.energy_mj::DECIMAL(19, 0) * k.carbon_g_per_kwh), 0) AS carbon_g_mj,
    coalesce(sum(k.energy_mj) FILTER (WHERE k.carbon_g_per_kwh IS NULL), 0) AS carbon_unknown_mj,
    coalesce(sum(k.energy_mj) FILTER (WHERE k.hourly_g_per_kwh IS NOT NULL), 0) AS carbon_hourly_mj,
    coalesce(sum(k.cost_quanta), 0) AS cost_quanta,
    coalesce(sum(k.held_us * k.parts) FILTER (WHERE k.price_entry IS NULL), 0) AS unpriced_part_us,
    coalesce(sum(k.active_cost_quanta), 0) AS active_cost_quanta,
    coalesce(sum(k.active_us * k.parts) FILTER (WHERE k.price_entry IS NULL), 0) AS active_unpriced_part_us,
    coalesce(sum(k.held_us * k.parts) FILTER (WHERE k.unwatched), 0) AS unwatched_part_us,
    coalesce(sum(k.cost_quanta) FILTER (WHERE k.unwatched), 0) AS unwatched_cost_quanta,
    coalesce(
        sum(k.held_us * k.parts) FILTER (WHERE k.unwatched AND k.price_entry IS NULL), 0
    ) AS unwatched_unpriced_part_us
FROM keyed AS k
GROUP BY k.group_key, k.state
ORDER BY k.group_key, k.state;

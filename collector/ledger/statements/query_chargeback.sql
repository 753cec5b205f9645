-- Charges of a period by one property of their holder, owner or device, and by state. Sizes are microseconds x parts.
-- Summed by the small keys that charges carry first, and by the names behind them then: a name is looked up once a
-- group, not once a charge.
-- Held time is unwatched where its activity is not known; it costs what the charge's active time leaves of its cost, by
-- time. What has no price is counted, never costed at zero. `scope` and the names after it narrow to a part of the
-- ledger.
WITH wanted_owners AS (
    SELECT o.owner_id
    FROM owners AS o
    WHERE
        ($organisation IS NULL OR o.organisation = $organisation)
        AND ($department IS NULL OR o.department = $department)
        AND ($team IS NULL OR o.team = $team)
        AND ($project IS NULL OR o.project = $project)
),

wanted_holders AS (
    SELECT h.holder_id
    FROM holders AS h
    WHERE
        ($user IS NULL OR h.user_name = $user)
        AND (
            $workload IS NULL
            OR coalesce(
                nullif(h.workload_name, ''), nullif(h.workload_id, ''), nullif(h.pod, ''),
                'job ' || nullif(h.slurm_job, ''), nullif(h.container, ''), h.holder_key
            ) = $workload
        )
),

hourly AS (
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
        CASE
            WHEN c.active_unknown_us = 0 THEN 0
            WHEN c.active_unknown_us = c.held_us THEN c.cost_quanta
            ELSE (
                (c.cost_quanta - coalesce(c.active_cost_quanta, 0))::HUGEINT * c.active_unknown_us
                // (c.held_us - c.active_us)
            )::BIGINT
        END AS unwatched_cost_quanta,
        CASE
            WHEN $by IN ('team', 'project', 'department', 'organisation') THEN c.owner_id
            WHEN $by IN ('model', 'node', 'device', 'cluster') THEN c.device_id
            ELSE c.holder_id
        END AS key_id
    FROM charges AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN hourly AS i ON c.price_version = i.price_version AND c.price_entry = i.entry AND c.hour_us = i.hour_us
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (
            $scope = ''
            OR (
                $scope = 'owner'
                AND c.state IN (1, 2, 6, 7)
                AND c.owner_id IN (
                    SELECT w.owner_id
                    FROM wanted_owners AS w
                )
            )
            OR ($scope = 'unattributed' AND c.state IN (1, 2, 6, 7) AND c.owner_id IS NULL)
            OR ($scope = 'idle' AND c.state = 3)
            OR ($scope = 'unavailable' AND c.state = 4)
            OR ($scope = 'unobserved' AND c.state = 5)
        )
        AND (
            ($user IS NULL AND $workload IS NULL)
            OR c.holder_id IN (
                SELECT w.holder_id
                FROM wanted_holders AS w
            )
            OR (c.holder_id IS NULL AND coalesce($user, '') = '' AND coalesce($workload, '') = '')
        )
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
        CASE $by
            WHEN 'team' THEN o.team
            WHEN 'project' THEN o.project
            WHEN 'department' THEN o.department
            WHEN 'organisation' THEN o.organisation
            WHEN 'user' THEN h.user_name
            WHEN 'system' THEN trim(h.workload_system || ' ' || h.workload_scope)
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

-- Workloads of a part of the ledger: what each held, did and cost, in the words of the system that started it. Runs of
-- one workload (its pods, its steps) are one row for each user and owner. For how long each ran takes its hours one by
-- one: query_workload_hours says it of those that are shown. Days from days_from_us up to days_to_us are summed
-- already.
WITH named AS (
    SELECT
        h.holder_id,
        h.kind,
        h.workload_system,
        h.workload_scope,
        h.namespace,
        h.user_name,
        workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key) AS workload
    FROM holders AS h
    WHERE ($system IS NULL OR h.workload_system = $system)
),

-- A workload goes by the first of its holders, so that the many rows are summed by numbers and not by names.
numbered AS (
    SELECT
        n.holder_id,
        min(n.holder_id) OVER (
            PARTITION BY n.kind, n.workload_system, n.workload_scope, n.workload, n.namespace, n.user_name
        ) AS first_id
    FROM named AS n
),

chosen AS (
    SELECT
        c.hour_us AS first_hour_us,
        c.hour_us AS last_hour_us,
        c.holder_id,
        c.owner_id,
        c.device_id,
        c.state,
        c.price_entry,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.cost_quanta
    FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.hour_us < $days_from_us OR c.hour_us >= $days_to_us)
        AND c.state IN (1, 2, 6, 7)
        AND c.holder_id IS NOT NULL
    UNION ALL
    SELECT
        c.first_hour_us,
        c.last_hour_us,
        c.holder_id,
        c.owner_id,
        c.device_id,
        c.state,
        c.price_entry,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.cost_quanta
    FROM charge_days AS c
    WHERE
        c.day_us >= $days_from_us
        AND c.day_us < $days_to_us
        AND c.state IN (1, 2, 6, 7)
        AND c.holder_id IS NOT NULL
),

held AS (
    SELECT
        c.holder_id,
        c.owner_id,
        min(c.first_hour_us) AS first_us,
        max(c.last_hour_us) AS last_us,
        sum(c.held_us * d.parts) AS part_us,
        sum(c.active_us * d.parts) AS active_part_us,
        sum(c.active_unknown_us * d.parts) AS active_unknown_part_us,
        coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
        sum(c.energy_mj) AS energy_mj,
        coalesce(sum(c.cost_quanta), 0) AS cost_quanta,
        coalesce(sum(c.cost_quanta) FILTER (WHERE c.state = 2), 0) AS idle_cost_quanta
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    GROUP BY c.holder_id, c.owner_id
),

summed AS (
    SELECT
        n.first_id,
        t.owner_id,
        count(*) AS runs,
        min(t.first_us) AS first_us,
        max(t.last_us) AS last_us,
        sum(t.part_us) AS part_us,
        sum(t.active_part_us) AS active_part_us,
        sum(t.active_unknown_part_us) AS active_unknown_part_us,
        sum(t.unpriced_part_us) AS unpriced_part_us,
        sum(t.energy_mj) AS energy_mj,
        sum(t.cost_quanta) AS cost_quanta,
        sum(t.idle_cost_quanta) AS idle_cost_quanta
    FROM held AS t
    INNER JOIN numbered AS n ON t.holder_id = n.holder_id
    GROUP BY n.first_id, t.owner_id
)

SELECT
    s.first_id,
    s.owner_id,
    n.kind AS holder_kind,
    n.workload_system,
    n.workload_scope,
    n.workload,
    n.namespace,
    n.user_name,
    s.first_us,
    s.last_us,
    s.runs,
    s.part_us,
    s.active_part_us,
    s.active_unknown_part_us,
    s.unpriced_part_us,
    s.energy_mj,
    s.cost_quanta,
    s.idle_cost_quanta,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    s.owner_id IS NOT NULL AS has_owner
FROM summed AS s
INNER JOIN named AS n ON s.first_id = n.holder_id
LEFT JOIN owners AS o ON s.owner_id = o.owner_id
ORDER BY
    s.cost_quanta DESC, s.part_us DESC, n.workload ASC, n.workload_system ASC, n.user_name ASC, team ASC,
    s.first_id ASC;

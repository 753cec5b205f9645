-- Workloads of a part of the ledger: what each held, did and cost, and for how long it ran, in the words of the system
-- that started it. Runs of one workload (its pods, its steps) are one row for each user and owner. An hour of it is as
-- long as the device that it held longest in it.
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

chosen AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.owner_id,
        c.state,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.cost_quanta,
        c.price_entry
    FROM charges AS c
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
        AND c.state IN (1, 2, 6, 7)
        AND c.holder_id IS NOT NULL
),

hourly AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.owner_id,
        sum(c.held_us)::BIGINT AS held_us,
        sum(c.active_us)::BIGINT AS active_us,
        sum(c.active_unknown_us)::BIGINT AS active_unknown_us,
        sum(c.energy_mj)::BIGINT AS energy_mj,
        coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta,
        coalesce(sum(c.cost_quanta) FILTER (WHERE c.state = 2), 0)::BIGINT AS idle_cost_quanta,
        coalesce(sum(c.held_us) FILTER (WHERE c.price_entry IS NULL), 0)::BIGINT AS unpriced_us
    FROM chosen AS c
    GROUP BY c.hour_us, c.device_id, c.holder_id, c.owner_id
),

named AS (
    SELECT
        h.holder_id,
        h.kind,
        h.workload_system,
        h.workload_scope,
        h.namespace,
        h.user_name,
        coalesce(
            nullif(h.workload_name, ''), nullif(h.workload_id, ''), nullif(h.pod, ''),
            'job ' || nullif(h.slurm_job, ''), nullif(h.container, ''), h.holder_key
        ) AS workload
    FROM holders AS h
),

together AS (
    SELECT
        n.kind,
        n.workload_system,
        n.workload_scope,
        n.workload,
        n.namespace,
        n.user_name,
        h.owner_id,
        h.hour_us,
        least(max(h.held_us), 3600000000) AS running_us,
        count(DISTINCT h.device_id) AS devices,
        list(DISTINCT h.holder_id) AS holder_ids,
        sum(h.held_us * d.parts) AS part_us,
        sum(h.active_us * d.parts) AS active_part_us,
        sum(h.active_unknown_us * d.parts) AS active_unknown_part_us,
        sum(h.unpriced_us * d.parts) AS unpriced_part_us,
        sum(h.energy_mj) AS energy_mj,
        sum(h.cost_quanta) AS cost_quanta,
        sum(h.idle_cost_quanta) AS idle_cost_quanta
    FROM hourly AS h
    INNER JOIN devices AS d ON h.device_id = d.device_id
    INNER JOIN named AS n ON h.holder_id = n.holder_id
    WHERE ($system IS NULL OR n.workload_system = $system)
    GROUP BY ALL
)

SELECT
    t.kind AS holder_kind,
    t.workload_system AS system,
    t.workload_scope AS within_system,
    t.workload,
    t.namespace,
    t.user_name,
    min(t.hour_us) AS first_us,
    max(t.hour_us) AS last_us,
    sum(t.running_us) AS running_us,
    max(t.devices) AS devices,
    len(list_distinct(flatten(list(t.holder_ids)))) AS runs,
    sum(t.part_us) AS part_us,
    sum(t.active_part_us) AS active_part_us,
    sum(t.active_unknown_part_us) AS active_unknown_part_us,
    sum(t.unpriced_part_us) AS unpriced_part_us,
    sum(t.energy_mj) AS energy_mj,
    sum(t.cost_quanta) AS cost_quanta,
    sum(t.idle_cost_quanta) AS idle_cost_quanta,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project,
    t.owner_id IS NOT NULL AS owned
FROM together AS t
LEFT JOIN owners AS o ON t.owner_id = o.owner_id
GROUP BY ALL
ORDER BY cost_quanta DESC, part_us DESC, t.workload ASC, t.workload_system ASC, t.user_name ASC, team ASC;

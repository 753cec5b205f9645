-- Held time without work of a part of the ledger by workload, team and user, the dearest first. Runs of one workload,
-- whose names differ in a trailing number ($run_number finds it), are one row, with the reason of the most time of one
-- run. Sizes are microseconds x parts. Days from days_from_us up to days_to_us are summed already.
WITH chosen AS (
    SELECT
        c.holder_id,
        c.owner_id,
        c.reason_id,
        c.device_id,
        c.price_entry,
        c.held_us,
        c.cost_quanta
    FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.hour_us < $days_from_us OR c.hour_us >= $days_to_us)
        AND c.state = 2
        AND c.holder_id IS NOT NULL
    UNION ALL
    SELECT
        c.holder_id,
        c.owner_id,
        c.reason_id,
        c.device_id,
        c.price_entry,
        c.held_us,
        c.cost_quanta
    FROM charge_days AS c
    WHERE c.day_us >= $days_from_us AND c.day_us < $days_to_us AND c.state = 2 AND c.holder_id IS NOT NULL
),

wasted AS (
    SELECT
        c.holder_id,
        c.owner_id,
        c.reason_id,
        sum(c.held_us * d.parts) AS part_us,
        coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
        coalesce(sum(c.cost_quanta), 0) AS cost_quanta
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    GROUP BY c.holder_id, c.owner_id, c.reason_id
),

called AS (
    SELECT
        h.holder_id,
        h.user_name,
        workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key) AS run
    FROM holders AS h
),

named AS (
    SELECT
        w.*,
        n.run,
        n.user_name,
        regexp_replace(n.run, $run_number, '') AS workload,
        coalesce(o.team, '') AS team,
        coalesce(nullif(r.reason, ''), 'unknown') AS reason
    FROM wasted AS w
    INNER JOIN called AS n ON w.holder_id = n.holder_id
    LEFT JOIN owners AS o ON w.owner_id = o.owner_id
    LEFT JOIN reasons AS r ON w.reason_id = r.reason_id
    WHERE w.part_us > 0
)

SELECT
    n.workload,
    n.team,
    n.user_name,
    count(DISTINCT n.run) AS runs,
    arg_max(n.reason, (n.part_us, n.reason)) AS reason,
    sum(n.part_us) AS part_us,
    sum(n.unpriced_part_us) AS unpriced_part_us,
    sum(n.cost_quanta) AS cost_quanta
FROM named AS n
GROUP BY n.workload, n.team, n.user_name
ORDER BY
    sum(n.cost_quanta) DESC, sum(n.part_us) DESC, n.workload ASC, n.team ASC, n.user_name ASC;

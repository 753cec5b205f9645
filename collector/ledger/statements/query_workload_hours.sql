-- For how long each of some workloads held any device, and the most devices that it held in one hour; shown_workloads
-- has them as query_workloads tells them apart. An hour of a workload is as long as the device that it held longest in
-- it, and no longer than an hour.
WITH numbered AS (
    SELECT
        h.holder_id,
        min(h.holder_id) OVER (
            PARTITION BY
                h.kind, h.workload_system, h.workload_scope,
                workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key),
                h.namespace, h.user_name
        ) AS first_id
    FROM holders AS h
),

wanted AS (
    SELECT
        n.holder_id,
        s.owner_id,
        s.place
    FROM numbered AS n
    INNER JOIN shown_workloads AS s ON n.first_id = s.first_id
),

hourly AS (
    SELECT
        w.place,
        c.hour_us,
        c.device_id,
        sum(c.held_us)::BIGINT AS held_us
    FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
    INNER JOIN wanted AS w ON c.holder_id = w.holder_id AND c.owner_id IS NOT DISTINCT FROM w.owner_id
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND c.state IN (1, 2, 6, 7)
    GROUP BY w.place, c.hour_us, c.device_id
),

together AS (
    SELECT
        h.place,
        h.hour_us,
        least(max(h.held_us), 3600000000) AS running_us,
        count(*) AS devices
    FROM hourly AS h
    GROUP BY h.place, h.hour_us
)

SELECT
    t.place,
    sum(t.running_us) AS running_us,
    max(t.devices) AS devices
FROM together AS t
GROUP BY t.place
ORDER BY t.place;

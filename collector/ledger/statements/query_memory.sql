-- The most memory that holders had in use on a device in a day (UTC), by one property of holder, owner or device. Time
-- whose memory nobody read has none. A workload is all of its runs: numbers at the end of its name tell them apart, and
-- a Slurm job without a name is known by its account and user. Owners are those of the charges of the same hour; held
-- states are 1, 2, 6 and 7.
WITH held AS (
    SELECT
        u.device_id,
        u.memory_max_bytes,
        u.hour_us // 86400000000 * 86400000000 AS day_us,
        key_of($by, c.owner_id, u.device_id, u.holder_id) AS key_id
    FROM usage_hourly AS u
    INNER JOIN charges AS c
        ON
            u.hour_us = c.hour_us
            AND u.device_id = c.device_id
            AND u.holder_id = c.holder_id
            AND u.state = c.state
    WHERE
        u.hour_us >= $from_us AND u.hour_us < $to_us
        AND u.state IN (1, 2, 6, 7) AND u.memory_max_bytes IS NOT NULL
),

narrow AS (
    SELECT
        h.day_us,
        h.device_id,
        h.key_id,
        max(h.memory_max_bytes) AS memory_max_bytes
    FROM held AS h
    GROUP BY h.day_us, h.device_id, h.key_id
),

keyed AS (
    SELECT
        n.day_us,
        n.memory_max_bytes,
        d.device_key,
        CASE $by
            WHEN 'team' THEN o.team
            WHEN 'project' THEN o.project
            WHEN 'department' THEN o.department
            WHEN 'organisation' THEN o.organisation
            WHEN 'user' THEN w.user_name
            WHEN 'workload'
                THEN
                    coalesce(
                        CASE
                            WHEN w.workload_name != '' AND NOT regexp_full_match(w.workload_name, 'job [0-9]+')
                                THEN regexp_replace(w.workload_name, '(/[0-9a-f]{32}|([- ][0-9]+)+)$', '')
                        END,
                        CASE
                            WHEN w.pod != '' THEN w.namespace || '/' || regexp_replace(w.pod, '([- ][0-9]+)+$', '')
                        END,
                        CASE WHEN w.slurm_job != '' THEN w.slurm_account || '/' || w.user_name END,
                        w.user_name
                    )
            WHEN 'system' THEN trim(w.workload_system || ' ' || w.workload_scope)
            WHEN 'namespace' THEN w.namespace
            WHEN 'slurm_account' THEN w.slurm_account
            WHEN 'model' THEN d.model || CASE WHEN d.mig_profile = '' THEN '' ELSE ' ' || d.mig_profile END
            WHEN 'node' THEN d.node
            WHEN 'device' THEN d.device_key
            WHEN 'cluster' THEN d.cluster
        END AS group_key
    FROM narrow AS n
    INNER JOIN devices AS d ON n.device_id = d.device_id
    LEFT JOIN holders AS w ON n.key_id = w.holder_id
    LEFT JOIN owners AS o ON n.key_id = o.owner_id
)

SELECT
    k.day_us,
    k.device_key,
    coalesce(k.group_key, '') AS group_name,
    max(k.memory_max_bytes) AS memory_max_bytes
FROM keyed AS k
GROUP BY k.day_us, coalesce(k.group_key, ''), k.device_key
ORDER BY k.day_us, coalesce(k.group_key, ''), k.device_key;

-- Holders in the hours to be rated, with the pool of the devices that they held, as owner rules ask about them.
WITH chosen AS (
    SELECT u.*
    FROM usage_hourly AS u
    WHERE u.hour_us BETWEEN $first_hour_us AND $last_hour_us AND u.holder_id IS NOT NULL
),

held AS (
    SELECT DISTINCT
        u.holder_id,
        d.pool
    FROM chosen AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    INNER JOIN rate_pass AS p ON d.cluster = p.cluster AND u.hour_us = p.hour_us
)

SELECT
    h.holder_id,
    held.pool,
    h.cluster,
    h.kind,
    h.namespace,
    h.pod,
    h.slurm_account,
    h.slurm_partition,
    h.user_name,
    h.labels,
    h.workload_system,
    h.workload_name,
    h.team_claim
FROM held
INNER JOIN holders AS h ON held.holder_id = h.holder_id
ORDER BY h.holder_id, held.pool;

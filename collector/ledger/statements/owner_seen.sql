-- The newest holders, as owner rules ask about them, with the pools of the devices that they held.
WITH newest AS (
    SELECT h.*
    FROM holders AS h
    ORDER BY h.holder_id DESC
    LIMIT $max_holders
),

held AS (
    SELECT DISTINCT
        u.holder_id,
        d.pool
    FROM usage_hourly AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE u.holder_id >= (SELECT min(n.holder_id) FROM newest AS n)
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
INNER JOIN newest AS h ON held.holder_id = h.holder_id
ORDER BY h.holder_id, held.pool;

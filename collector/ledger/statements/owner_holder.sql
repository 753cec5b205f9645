-- One holder, by its key, in every cluster and pool where it held a device, with the last hour in which it did.
SELECT
    h.holder_id,
    d.pool,
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
    h.team_claim,
    max(u.hour_us) AS last_hour_us
FROM holders AS h
INNER JOIN usage_hourly AS u ON h.holder_id = u.holder_id
INNER JOIN devices AS d ON u.device_id = d.device_id
WHERE h.holder_key = $holder_key
GROUP BY ALL
ORDER BY h.cluster, d.pool, h.holder_id;

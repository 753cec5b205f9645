SELECT
    holder_id,
    cluster,
    holder_key,
    kind,
    namespace,
    pod,
    pod_uid,
    container,
    container_id,
    slurm_job,
    slurm_step,
    slurm_account,
    slurm_partition,
    user_name,
    uid,
    labels,
    workload_system,
    workload_scope,
    workload_id,
    workload_name,
    team_claim
FROM holders
ORDER BY holder_id

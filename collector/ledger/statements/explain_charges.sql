-- The charges of one device's hour, in the order in which they share its cost, with what prices and owners looked at.
WITH wanted AS (
    SELECT
        d.device_id,
        d.cluster,
        d.node,
        d.device_key,
        d.kind,
        d.model,
        d.mig_profile,
        d.parts,
        d.pool
    FROM devices AS d
    WHERE d.device_key = $device AND d.cluster = $cluster AND d.node = $node
),

hour AS (
    SELECT c.*
    FROM charges AS c
    WHERE c.hour_us = $hour_us
)

SELECT
    c.hour_us,
    c.offset_us,
    w.cluster,
    w.node,
    w.device_key AS device,
    w.kind AS device_kind,
    w.model,
    w.mig_profile,
    w.parts,
    w.pool,
    c.holder_id,
    h.holder_key AS holder,
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
    c.state,
    o.organisation,
    o.department,
    o.team,
    o.project,
    c.held_us,
    c.active_us,
    c.active_unknown_us,
    c.energy_mj,
    c.energy_unknown_us,
    c.price_version,
    c.price_entry,
    c.owner_version,
    c.rate_quanta,
    c.cost_quanta,
    c.active_cost_quanta,
    coalesce(r.reason, '') AS reason
FROM hour AS c
INNER JOIN wanted AS w ON c.device_id = w.device_id
LEFT JOIN holders AS h ON c.holder_id = h.holder_id
LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
ORDER BY c.offset_us ASC, h.holder_key ASC NULLS FIRST, c.state ASC, r.reason ASC, c.holder_id ASC;

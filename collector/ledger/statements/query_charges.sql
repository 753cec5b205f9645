-- Charges of a period, of one device or of all, in a part of the ledger, with names in the place of keys.
WITH chosen AS (
    SELECT c.*
    FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
),

wanted AS (
    SELECT d.*
    FROM devices AS d
    WHERE $device = '' OR d.device_key = $device
)

SELECT
    c.hour_us,
    c.offset_us,
    d.cluster,
    d.node,
    d.device_key AS device,
    d.model,
    d.mig_profile,
    d.parts,
    h.holder_key AS holder,
    h.user_name,
    h.workload_system,
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
    coalesce(r.reason, '') AS reason,
    workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key) AS workload
FROM chosen AS c
INNER JOIN wanted AS d ON c.device_id = d.device_id
LEFT JOIN holders AS h ON c.holder_id = h.holder_id
LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
ORDER BY c.hour_us, d.cluster, d.node, d.device_key, c.offset_us, h.holder_key, c.state, r.reason, c.holder_id
LIMIT $max_rows OFFSET $skipped_rows;

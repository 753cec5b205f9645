-- Charges of a period, of one device or of all, in a part of the ledger, with names in the place of keys.
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
    SELECT c.*
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
    coalesce(
        nullif(h.workload_name, ''), nullif(h.workload_id, ''), nullif(h.pod, ''),
        'job ' || nullif(h.slurm_job, ''), nullif(h.container, ''), h.holder_key
    ) AS workload
FROM chosen AS c
INNER JOIN wanted AS d ON c.device_id = d.device_id
LEFT JOIN holders AS h ON c.holder_id = h.holder_id
LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
ORDER BY c.hour_us, d.cluster, d.node, d.device_key, c.offset_us, h.holder_key, c.state, r.reason, c.holder_id
LIMIT $max_rows OFFSET $skipped_rows;

-- How many charges a part of the ledger has in a period, of one device or of all, and what they sum to.
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

wanted AS (
    SELECT d.*
    FROM devices AS d
    WHERE $device = '' OR d.device_key = $device
)

SELECT
    count(*) AS charge_count,
    coalesce(sum(c.held_us * d.parts), 0) AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
    coalesce(sum(c.cost_quanta), 0) AS cost_quanta
FROM charges AS c
INNER JOIN wanted AS d ON c.device_id = d.device_id
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
    );

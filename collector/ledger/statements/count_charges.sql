-- How many charges a part of the ledger has in a period, of one device or of all, and what they sum to.
WITH wanted AS (
    SELECT d.*
    FROM devices AS d
    WHERE $device = '' OR d.device_key = $device
)

SELECT
    count(*) AS charge_count,
    coalesce(sum(c.held_us * d.parts), 0) AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
    coalesce(sum(c.cost_quanta), 0) AS cost_quanta
FROM charges_within($scope, $organisation, $department, $team, $project, $user, $workload) AS c
INNER JOIN wanted AS d ON c.device_id = d.device_id
WHERE
    c.hour_us >= $from_us
    AND c.hour_us < $to_us;

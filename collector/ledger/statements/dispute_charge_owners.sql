-- Who pays for the charge of a name, as it is known now.
WITH chosen AS (
    SELECT c.*
    FROM current_charges AS c
    WHERE c.hour_us = $hour_us AND c.state = $state
)

SELECT
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    count(*) FILTER (WHERE c.cost_quanta IS NULL) AS unpriced,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta
FROM chosen AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN holders AS h ON c.holder_id = h.holder_id
LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
WHERE
    d.cluster = $cluster
    AND d.node = $node
    AND d.device_key = $device
    AND coalesce(h.holder_key, '') = $holder_key
    AND coalesce(r.reason, '') = $reason_text
GROUP BY ALL
ORDER BY ALL;

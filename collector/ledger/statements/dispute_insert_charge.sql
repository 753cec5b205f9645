-- The charge of a name is what a dispute is about.
INSERT INTO disputed_charges BY NAME
WITH chosen AS (
    SELECT DISTINCT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id
    FROM current_charges AS c
    WHERE c.hour_us = $hour_us AND c.state = $state
)

SELECT
    c.hour_us,
    c.device_id,
    c.holder_id,
    c.state,
    c.reason_id,
    $dispute_id::INTEGER AS dispute_id
FROM chosen AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN holders AS h ON c.holder_id = h.holder_id
LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
WHERE
    d.cluster = $cluster
    AND d.node = $node
    AND d.device_key = $device
    AND coalesce(h.holder_key, '') = $holder_key
    AND coalesce(r.reason, '') = $reason_text;

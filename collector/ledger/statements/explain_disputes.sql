-- Disputes of one charge.
SELECT DISTINCT
    s.dispute_id,
    s.ended,
    s.decision,
    s.opened_by,
    s.why,
    s.ended_by
FROM dispute_states AS s
INNER JOIN disputed_charges AS k ON s.dispute_id = k.dispute_id
INNER JOIN devices AS d ON k.device_id = d.device_id
LEFT JOIN holders AS h ON k.holder_id = h.holder_id
LEFT JOIN reasons AS r ON k.reason_id = r.reason_id
WHERE
    k.hour_us = $hour_us
    AND k.state = $state
    AND d.device_key = $device
    AND d.cluster = $cluster
    AND d.node = $node
    AND coalesce(h.holder_key, '') = $holder_key
    AND coalesce(r.reason, '') = $reason_text
ORDER BY s.dispute_id;

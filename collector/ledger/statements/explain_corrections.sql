-- What later bills corrected about one charge.
WITH wanted AS (
    SELECT d.device_id
    FROM devices AS d
    WHERE d.device_key = $device AND d.cluster = $cluster AND d.node = $node
),

chosen AS (
    SELECT k.*
    FROM corrections AS k
    WHERE k.hour_us = $hour_us AND k.offset_us = $offset_us AND k.state = $state
)

SELECT
    p.label,
    p.closed_us,
    k.held_us,
    k.cost_quanta
FROM chosen AS k
INNER JOIN wanted AS w ON k.device_id = w.device_id
INNER JOIN closed_periods AS p ON k.period_id = p.period_id
LEFT JOIN holders AS h ON k.holder_id = h.holder_id
LEFT JOIN reasons AS r ON k.reason_id = r.reason_id
WHERE coalesce(h.holder_key, '') = $holder_key AND coalesce(r.reason, '') = $reason_text
ORDER BY p.closed_us;

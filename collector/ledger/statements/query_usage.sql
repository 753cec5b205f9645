-- Usage records that start in a period, of one device or of all, with names in the place of keys.
WITH chosen AS (
    SELECT u.*
    FROM usage AS u
    WHERE u.start_us >= $from_us AND u.start_us < $to_us
),

wanted AS (
    SELECT d.*
    FROM devices AS d
    WHERE $device = '' OR d.device_key = $device
)

SELECT
    d.cluster,
    d.node,
    d.device_key AS device,
    h.holder_key AS holder,
    u.start_us,
    u.end_us,
    u.state,
    u.held_us,
    u.active_us,
    u.energy_mj,
    u.memory_mean_bytes,
    u.memory_max_bytes,
    coalesce(r.reason, '') AS reason,
    coalesce(e.holder_method, '') AS holder_method,
    coalesce(e.activity_method, '') AS activity_method,
    coalesce(e.energy_method, '') AS energy_method,
    coalesce(e.split_rule, '') AS split_rule,
    coalesce(e.confidence, 4) AS confidence
FROM chosen AS u
INNER JOIN wanted AS d ON u.device_id = d.device_id
LEFT JOIN holders AS h ON u.holder_id = h.holder_id
LEFT JOIN reasons AS r ON u.reason_id = r.reason_id
LEFT JOIN evidence AS e ON u.evidence_id = e.evidence_id
ORDER BY u.start_us, d.cluster, d.node, d.device_key, h.holder_key, u.state, r.reason, u.holder_id
LIMIT $max_rows;

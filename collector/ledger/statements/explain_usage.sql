-- The usage records behind one charge, and the batches that they came in. Those across the begin or the end of its
-- segment are among them: a part of each is in the charge.
WITH chosen AS (
    SELECT u.*
    FROM usage AS u
    WHERE u.start_us >= $hour_us AND u.start_us < $until_us AND u.end_us > $begin_us AND u.state = $state
),

wanted AS (
    SELECT d.device_id
    FROM devices AS d
    WHERE d.device_key = $device AND d.cluster = $cluster AND d.node = $node
)

SELECT
    u.start_us,
    u.end_us,
    u.held_us,
    u.active_us,
    u.energy_mj,
    b.agent,
    b.boot,
    b.sequence,
    b.received_us,
    b.digest,
    coalesce(e.holder_method, '') AS holder_method,
    coalesce(e.activity_method, '') AS activity_method,
    coalesce(e.energy_method, '') AS energy_method,
    coalesce(e.split_rule, '') AS split_rule,
    coalesce(e.confidence, 4) AS confidence
FROM chosen AS u
INNER JOIN wanted AS w ON u.device_id = w.device_id
INNER JOIN batches AS b ON u.batch_id = b.batch_id
LEFT JOIN holders AS h ON u.holder_id = h.holder_id
LEFT JOIN reasons AS r ON u.reason_id = r.reason_id
LEFT JOIN evidence AS e ON u.evidence_id = e.evidence_id
WHERE coalesce(h.holder_key, '') = $holder_key AND coalesce(r.reason, '') = $reason_text
ORDER BY u.start_us, u.end_us;

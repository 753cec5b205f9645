-- Events of a period, the newest first.
SELECT
    e.at_us,
    e.cluster,
    e.node,
    e.kind,
    e.severity,
    e.device_key AS device,
    e.holder_key AS holder,
    e.message,
    e.details
FROM events AS e
WHERE e.at_us >= $from_us AND e.at_us < $to_us
ORDER BY e.at_us DESC, e.cluster ASC, e.node ASC, e.device_key ASC, e.kind ASC, e.message ASC
LIMIT $max_rows;

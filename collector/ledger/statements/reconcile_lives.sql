-- What has to be accounted for in a period.
SELECT
    l.device_id,
    l.cluster,
    l.capacity_units AS units,
    l.kind = 'pool' AS pooled,
    greatest(l.from_us, $from_us) AS start_us,
    least(l.until_us, $to_us) AS end_us
FROM known_lives AS l
WHERE l.until_us > $from_us AND l.from_us < $to_us
ORDER BY l.device_id, l.from_us;

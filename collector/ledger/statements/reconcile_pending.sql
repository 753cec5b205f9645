-- Hours of a period that wait to be rated.
SELECT
    p.cluster,
    p.hour_us
FROM pending_hours AS p
WHERE p.hour_us >= $from_us AND p.hour_us < $to_us
ORDER BY p.hour_us, p.cluster;

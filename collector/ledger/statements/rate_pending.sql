-- The oldest hours that wait to be rated.
SELECT
    d.cluster,
    d.hour_us
FROM dirty_hours AS d
GROUP BY d.cluster, d.hour_us
ORDER BY d.hour_us, d.cluster
LIMIT $hours;

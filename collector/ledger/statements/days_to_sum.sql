-- Days (UTC) that are over for some hours, have no hour that waits to be rated, and are not summed yet; newest first.
WITH days AS (
    SELECT
        unnest(
            range(min(b.from_us) // $day_us * $day_us, (max(b.until_us) - $settle_us) // $day_us * $day_us, $day_us)
        ) AS day_us
    FROM batches AS b
)

SELECT d.day_us
FROM days AS d
WHERE
    d.day_us NOT IN (SELECT s.day_us FROM summed_days AS s)
    AND d.day_us NOT IN (SELECT p.hour_us // $day_us * $day_us FROM pending_hours AS p)
ORDER BY d.day_us DESC
LIMIT $most;

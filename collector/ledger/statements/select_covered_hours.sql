-- Runs of hours that a device's usage covers whole: read from the roll-up, so that opening does not read the facts.
WITH whole AS (
    SELECT
        device_id,
        hour_us
    FROM usage_hourly
    INNER JOIN devices USING (device_id)
    WHERE devices.kind <> 'pool'
    GROUP BY device_id, hour_us
    HAVING sum(held_us) = 3600000000
),

numbered AS (
    SELECT
        device_id,
        hour_us,
        hour_us - 3600000000 * row_number() OVER (PARTITION BY device_id ORDER BY hour_us) AS run
    FROM whole
)

SELECT
    device_id,
    min(hour_us) AS start_us,
    max(hour_us) + 3600000000 AS end_us
FROM numbered
GROUP BY device_id, run
ORDER BY device_id, start_us

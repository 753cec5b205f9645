-- Runs of hours that a device's usage covers whole: read from the roll-up, so that opening does not read the facts.
WITH whole AS (
    SELECT
        u.device_id,
        u.hour_us
    FROM usage_hourly AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE d.kind <> 'pool'
    GROUP BY u.device_id, u.hour_us
    HAVING sum(u.held_us) = 3600000000
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

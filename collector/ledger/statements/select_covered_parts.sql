-- Runs of intervals in hours that usage covers in part, and all of a pool's (whose records may overlap).
WITH partial AS (
    SELECT
        device_id,
        hour_us
    FROM usage_hourly
    INNER JOIN devices USING (device_id)
    GROUP BY device_id, hour_us, devices.kind
    HAVING sum(held_us) <> 3600000000 OR devices.kind = 'pool'
),

spans AS (
    SELECT DISTINCT
        usage.device_id,
        usage.start_us,
        usage.end_us
    FROM usage
    INNER JOIN partial
        ON usage.device_id = partial.device_id AND usage.start_us // 3600000000 * 3600000000 = partial.hour_us
),

marked AS (
    SELECT
        device_id,
        start_us,
        end_us,
        max(end_us) OVER (
            PARTITION BY device_id ORDER BY start_us, end_us ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached_us
    FROM spans
),

numbered AS (
    SELECT
        device_id,
        start_us,
        end_us,
        count(*) FILTER (WHERE reached_us IS NULL OR start_us > reached_us)
            OVER (PARTITION BY device_id ORDER BY start_us, end_us) AS run
    FROM marked
)

SELECT
    device_id,
    min(start_us) AS start_us,
    max(end_us) AS end_us
FROM numbered
GROUP BY device_id, run
ORDER BY device_id, start_us

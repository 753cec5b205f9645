-- Runs of intervals in hours that usage covers in part, and all of a pool's (whose records may overlap).
WITH partial AS (
    SELECT
        u.device_id,
        u.hour_us
    FROM usage_hourly AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    GROUP BY u.device_id, u.hour_us, d.kind
    HAVING sum(u.held_us) <> 3600000000 OR d.kind = 'pool'
),

spans AS (
    SELECT DISTINCT
        u.device_id,
        u.start_us,
        u.end_us
    FROM usage AS u
    INNER JOIN partial AS p
        ON u.device_id = p.device_id AND u.start_us - u.start_us % 3600000000 = p.hour_us
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

-- The time that raw usage covers, device by device, joined where it touches; with what overlaps, and what is shared
-- out unevenly (the shares of an interval do not sum to its length). Pools are left out: their jobs may overlap.
WITH chosen AS (
    SELECT u.*
    FROM usage AS u
    WHERE u.start_us >= $from_us AND u.start_us < $to_us
),

intervals AS (
    SELECT
        u.device_id,
        u.start_us,
        u.end_us,
        sum(u.held_us) AS held_us
    FROM chosen AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE d.kind <> 'pool'
    GROUP BY u.device_id, u.start_us, u.end_us
),

reached AS (
    SELECT
        i.*,
        max(i.end_us) OVER (
            PARTITION BY i.device_id
            ORDER BY i.start_us, i.end_us
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached_us
    FROM intervals AS i
),

numbered AS (
    SELECT
        r.*,
        sum((r.reached_us IS NULL OR r.start_us > r.reached_us)::INTEGER) OVER (
            PARTITION BY r.device_id
            ORDER BY r.start_us, r.end_us
            ROWS UNBOUNDED PRECEDING
        ) AS island
    FROM reached AS r
)

SELECT
    n.device_id,
    min(n.start_us) AS start_us,
    max(n.end_us) AS end_us,
    count(*) FILTER (WHERE n.start_us < n.reached_us) AS overlap_count,
    count(*) FILTER (WHERE n.held_us <> n.end_us - n.start_us) AS uneven_count
FROM numbered AS n
GROUP BY n.device_id, n.island
ORDER BY n.device_id, start_us;

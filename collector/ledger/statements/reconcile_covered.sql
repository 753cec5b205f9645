-- The time of a slice of a period that raw usage leaves uncovered, by device, with the intervals that overlap, and
-- those that are shared out unevenly (the shares of an interval do not sum to its length). Devices without any of that
-- are left out, and pools, whose jobs may overlap. A record lies within one hour, and a slice is cut on the hour.
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

covered AS (
    SELECT
        r.device_id,
        sum(
            greatest(least(r.end_us, s.end_us) - greatest(r.start_us, r.reached_us, s.start_us), 0)
        ) AS covered_us
    FROM reached AS r
    INNER JOIN proof_spans AS s ON r.device_id = s.device_id
    WHERE s.start_us < r.end_us AND s.end_us > r.start_us
    GROUP BY r.device_id
),

lived AS (
    SELECT
        s.device_id,
        sum(least(s.end_us, $to_us) - greatest(s.start_us, $from_us)) AS lived_us
    FROM proof_spans AS s
    WHERE s.start_us < $to_us AND s.end_us > $from_us AND NOT s.pooled
    GROUP BY s.device_id
),

faults AS (
    SELECT
        r.device_id,
        min(r.start_us) AS start_us,
        count(*) FILTER (WHERE r.start_us < r.reached_us) AS overlap_count,
        count(*) FILTER (WHERE r.held_us <> r.end_us - r.start_us) AS uneven_count
    FROM reached AS r
    WHERE r.start_us < r.reached_us OR r.held_us <> r.end_us - r.start_us
    GROUP BY r.device_id
),

summed AS (
    SELECT
        l.device_id,
        l.lived_us - coalesce(c.covered_us, 0) AS uncovered_us
    FROM lived AS l
    LEFT JOIN covered AS c ON l.device_id = c.device_id
)

SELECT
    f.start_us,
    coalesce(s.device_id, f.device_id) AS device_id,
    coalesce(s.uncovered_us, 0)::BIGINT AS uncovered_us,
    coalesce(f.overlap_count, 0) AS overlap_count,
    coalesce(f.uneven_count, 0) AS uneven_count
FROM summed AS s
FULL JOIN faults AS f ON s.device_id = f.device_id
WHERE s.uncovered_us <> 0 OR f.device_id IS NOT NULL
ORDER BY device_id;

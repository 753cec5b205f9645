-- Hours between the lives that charges account for and the lives that are known now.
INSERT INTO dirty_hours
WITH moved AS (
    SELECT
        l.device_id,
        least(l.until_us, coalesce(r.until_us, l.from_us)) AS start_us,
        greatest(l.until_us, coalesce(r.until_us, l.from_us)) AS end_us
    FROM known_lives AS l
    LEFT JOIN rated_lives AS r ON l.device_id = r.device_id AND l.from_us = r.from_us
    WHERE r.until_us IS NULL OR l.until_us <> r.until_us
    UNION ALL
    SELECT
        r.device_id,
        r.from_us AS start_us,
        r.until_us AS end_us
    FROM rated_lives AS r
    LEFT JOIN known_lives AS l ON r.device_id = l.device_id AND r.from_us = l.from_us
    WHERE l.device_id IS NULL
)

SELECT DISTINCT
    d.cluster,
    unnest(range(m.start_us - m.start_us % 3600000000, m.end_us, 3600000000)) AS hour_us
FROM moved AS m
INNER JOIN devices AS d ON m.device_id = d.device_id;

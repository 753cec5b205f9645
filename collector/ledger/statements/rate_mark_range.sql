-- Hours of a range that have usage or charges, and are open: their prices or owners changed.
INSERT INTO dirty_hours
WITH touched AS (
    SELECT DISTINCT
        l.cluster,
        unnest(range(
            greatest(l.from_us, $from_us) - greatest(l.from_us, $from_us) % 3600000000,
            least(l.until_us, $to_us),
            3600000000
        )) AS hour_us
    FROM known_lives AS l
    WHERE l.until_us > $from_us AND l.from_us < $to_us
)

SELECT
    t.cluster,
    t.hour_us
FROM touched AS t
ANTI JOIN closed_periods AS p ON t.hour_us >= p.from_us AND t.hour_us < p.to_us;

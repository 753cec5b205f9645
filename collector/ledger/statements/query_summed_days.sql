-- Whole days of a period that are summed, the first first; none where $by_hour asks for hours and prices know the
-- carbon intensity of any.
SELECT s.day_us
FROM summed_days AS s
WHERE
    s.day_us >= $from_us
    AND s.day_us <= $to_us - $day_us
    AND NOT (
        $by_hour
        AND EXISTS (
            SELECT 1
            FROM price_entries AS e
            INNER JOIN carbon_known AS i ON e.carbon_region = i.region
            WHERE i.hour_us >= $from_us AND i.hour_us < $to_us
        )
    )
ORDER BY s.day_us;

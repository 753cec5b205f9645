-- Hours of a range that have usage or charges: their prices or owners changed.
INSERT INTO dirty_hours
SELECT DISTINCT
    l.cluster,
    unnest(range(
        greatest(l.from_us, $from_us) - greatest(l.from_us, $from_us) % 3600000000,
        least(l.until_us, $to_us),
        3600000000
    )) AS hour_us
FROM known_lives AS l
WHERE l.until_us > $from_us AND l.from_us < $to_us;

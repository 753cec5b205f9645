-- Remember the lives that charges account for from now on.
INSERT INTO rated_lives
SELECT
    l.device_id,
    l.from_us,
    l.until_us
FROM known_lives AS l;

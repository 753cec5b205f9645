-- Devices that existed within a time, with each of their lives, as contracts look at them.
SELECT
    l.device_id,
    d.cluster,
    d.node,
    d.device_key,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts,
    l.capacity_units,
    l.from_us,
    l.until_us
FROM known_lives AS l
INNER JOIN devices AS d ON l.device_id = d.device_id
WHERE l.capacity_units IS NOT NULL AND l.from_us < $to_us AND l.until_us > $from_us
ORDER BY l.device_id, l.from_us;

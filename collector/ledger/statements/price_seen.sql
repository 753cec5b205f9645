-- Kinds of devices that the ledger has seen, as price books ask about them, with the open time in which it knows them.
WITH closed AS (
    SELECT coalesce(max(p.to_us), 0) AS until_us
    FROM closed_periods AS p
)

SELECT
    d.cluster,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts,
    min(greatest(l.from_us, c.until_us)) AS from_us,
    max(l.until_us) AS until_us
FROM known_lives AS l
INNER JOIN devices AS d ON l.device_id = d.device_id
CROSS JOIN closed AS c
GROUP BY d.cluster, d.pool, d.model, d.mig_profile, d.parts
ORDER BY d.cluster, d.pool, d.model, d.mig_profile, d.parts;

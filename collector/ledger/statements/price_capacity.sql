-- How many devices of each kind the ledger knew at once in the last month of its data (a pool counts as its GPUs).
WITH newest AS (
    SELECT max(l.until_us) AS until_us
    FROM known_lives AS l
),

alive AS (
    SELECT
        l.device_id,
        max(coalesce(l.capacity_units, 1)) AS units
    FROM known_lives AS l
    INNER JOIN newest AS n ON l.until_us > n.until_us - 744 * 3600000000
    GROUP BY l.device_id
)

SELECT
    d.cluster,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts,
    sum(a.units)::BIGINT AS units
FROM alive AS a
INNER JOIN devices AS d ON a.device_id = d.device_id
GROUP BY d.cluster, d.pool, d.model, d.mig_profile, d.parts
ORDER BY d.cluster, d.pool, d.model, d.mig_profile, d.parts;

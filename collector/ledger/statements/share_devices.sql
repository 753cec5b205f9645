-- Kinds of devices that the ledger knows, as scopes of shares ask about them, with the parts of a GPU that exist now;
-- capacity_known is false where a pool of them has never said how many GPUs it has.
WITH existing AS (
    SELECT DISTINCT l.device_id
    FROM device_lives AS l
    WHERE l.to_us IS NULL
)

SELECT
    d.cluster,
    d.pool,
    d.model,
    sum(
        CASE
            WHEN e.device_id IS NULL THEN 0
            WHEN d.kind = 'pool' THEN d.parts * coalesce(d.units, 0)
            ELSE d.parts
        END
    )::BIGINT AS parts,
    bool_and(d.kind <> 'pool' OR d.units IS NOT NULL) AS capacity_known
FROM devices AS d
LEFT JOIN existing AS e ON d.device_id = e.device_id
GROUP BY d.cluster, d.pool, d.model
ORDER BY d.cluster, d.pool, d.model;

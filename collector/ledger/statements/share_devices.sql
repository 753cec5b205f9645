-- Kinds of devices that the ledger knows, as scopes of shares ask about them, with the parts of a GPU that exist now;
-- capacity_known is false where a pool of them has never said how many GPUs it has.
SELECT
    d.cluster,
    d.pool,
    d.model,
    coalesce(sum(d.parts * coalesce(d.units, 0)) FILTER (
        WHERE EXISTS (SELECT 1 FROM device_lives AS l WHERE l.device_id = d.device_id AND l.to_us IS NULL)
    ), 0)::BIGINT AS parts,
    bool_and(d.units IS NOT NULL) AS capacity_known
FROM devices AS d
GROUP BY d.cluster, d.pool, d.model
ORDER BY d.cluster, d.pool, d.model;

-- Devices with the whole of their lives: from the first until the last, which is open while the device can be held.
WITH spans AS (
    SELECT
        l.device_id,
        min(l.from_us) AS from_us,
        CASE WHEN count(*) = count(l.to_us) THEN max(l.to_us) END AS to_us
    FROM device_lives AS l
    GROUP BY l.device_id
)

SELECT
    d.device_key,
    d.cluster,
    d.node,
    d.kind,
    d.model,
    d.parts,
    d.units,
    d.board,
    d.mig_profile,
    d.memory_bytes,
    d.pci_bus_id,
    d.pool,
    s.from_us,
    s.to_us
FROM devices AS d
LEFT JOIN spans AS s ON d.device_id = s.device_id
ORDER BY d.cluster, d.node, d.device_key, d.device_id;

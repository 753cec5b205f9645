SELECT
    device_id,
    cluster,
    node,
    device_key,
    kind,
    model,
    parts,
    units,
    board,
    mig_profile,
    memory_bytes,
    pci_bus_id,
    pool
FROM devices
ORDER BY device_id

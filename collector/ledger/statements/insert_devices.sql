INSERT INTO devices BY NAME
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
    pool,
    first_seen_us,
    retired_us
FROM incoming_devices

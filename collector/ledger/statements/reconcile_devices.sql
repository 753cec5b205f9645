-- Names and sizes of all devices, to speak of them.
SELECT
    d.device_id,
    d.cluster,
    d.kind,
    d.model,
    d.parts,
    d.mig_profile,
    d.pool,
    d.node || '/' || d.device_key AS device_label
FROM devices AS d
ORDER BY d.device_id;

-- Devices of the clusters to be rated, as a price book asks about them.
SELECT
    d.device_id,
    d.cluster,
    d.pool,
    d.model,
    d.mig_profile,
    d.parts
FROM devices AS d
WHERE d.cluster IN (SELECT p.cluster FROM rate_pass AS p)
ORDER BY d.device_id;

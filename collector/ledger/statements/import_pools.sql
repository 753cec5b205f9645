-- import_pools
-- The given pools as the ledger knows them; the newest version of each comes last.
SELECT
    d.cluster,
    d.device_key,
    d.model,
    d.parts,
    d.units,
    d.mig_profile,
    d.pool
FROM devices AS d
SEMI JOIN wanted_pools AS wanted ON d.cluster = wanted.cluster AND d.device_key = wanted.device_key
WHERE d.kind = 'pool'
ORDER BY d.device_id

-- Kinds of devices that the ledger knows, with the size of each.
SELECT
    d.model,
    d.mig_profile,
    max(d.parts) AS parts
FROM devices AS d
GROUP BY ALL
ORDER BY ALL;

-- The newest import of carbon intensities.
SELECT
    i.carbon_version,
    i.imported_us,
    i.source,
    i.digest
FROM carbon_imports AS i
ORDER BY i.carbon_version DESC
LIMIT 1;

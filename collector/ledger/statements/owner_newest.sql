-- The newest owner mapping.
SELECT
    m.owner_version,
    m.imported_us,
    m.source,
    m.digest,
    m.directory_version
FROM owner_maps AS m
ORDER BY m.owner_version DESC
LIMIT 1;

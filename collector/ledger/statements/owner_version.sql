-- One version of the owner mapping.
SELECT
    m.owner_version,
    m.imported_us,
    m.source,
    m.digest,
    m.directory_version
FROM owner_maps AS m
WHERE m.owner_version = $owner_version;

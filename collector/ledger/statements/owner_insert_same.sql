-- A new version of the owner mapping with the rules of an older one, and a new directory.
INSERT INTO owner_maps
SELECT
    $owner_version,
    $imported_us,
    m.source,
    m.digest,
    m.content,
    $directory_version
FROM owner_maps AS m
WHERE m.owner_version = $of_version;

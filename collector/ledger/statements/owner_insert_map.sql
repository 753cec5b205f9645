-- A new version of the owner mapping.
INSERT INTO owner_maps
SELECT
    $owner_version,
    $imported_us,
    $source,
    $digest,
    $content,
    $directory_version;

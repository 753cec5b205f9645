-- A new version of the directory of people.
INSERT INTO directories
SELECT
    $directory_version,
    $imported_us,
    $source,
    $digest,
    $content;

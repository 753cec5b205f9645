-- The newest directory of people.
SELECT
    d.directory_version,
    d.imported_us,
    d.source,
    d.digest
FROM directories AS d
ORDER BY d.directory_version DESC
LIMIT 1;

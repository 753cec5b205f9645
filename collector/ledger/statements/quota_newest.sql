-- The newest quota book.
SELECT
    b.quota_version,
    b.imported_us,
    b.source,
    b.digest,
    b.content
FROM quota_books AS b
ORDER BY b.quota_version DESC
LIMIT 1;

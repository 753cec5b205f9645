-- The share book in all its versions, the newest first.
SELECT
    b.share_version,
    b.imported_us,
    b.source,
    b.digest,
    b.idle,
    b.unowned
FROM share_books AS b
ORDER BY b.share_version DESC;

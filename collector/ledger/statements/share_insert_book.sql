-- A new version of the share book.
INSERT INTO share_books
SELECT
    $share_version,
    $imported_us,
    $source,
    $digest,
    $idle,
    $unowned,
    $content;

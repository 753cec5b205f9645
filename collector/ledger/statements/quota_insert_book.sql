-- A new version of the quota book.
INSERT INTO quota_books (
    quota_version, imported_us, source, digest, content
) VALUES (
    $quota_version,
    $imported_us,
    $source,
    $digest,
    $content
);

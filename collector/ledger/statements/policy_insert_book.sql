-- A new version of the policy book.
INSERT INTO policy_books
SELECT
    $policy_version,
    $imported_us,
    $source,
    $digest,
    $content;

-- A new version of the budget book.
INSERT INTO budget_books (
    budget_version, imported_us, source, digest, content
) VALUES (
    $budget_version,
    $imported_us,
    $source,
    $digest,
    $content
);

-- The newest budget book.
SELECT
    b.budget_version,
    b.imported_us,
    b.source,
    b.digest,
    b.content
FROM budget_books AS b
ORDER BY b.budget_version DESC
LIMIT 1;

-- The newest policy book.
SELECT
    b.policy_version,
    b.imported_us,
    b.source,
    b.digest
FROM policy_books AS b
ORDER BY b.policy_version DESC
LIMIT 1;

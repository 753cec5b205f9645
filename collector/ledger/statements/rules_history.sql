-- All rule books, the newest first.
SELECT
    b.rules_version,
    b.imported_us,
    b.source,
    b.digest,
    b.content
FROM rule_books AS b
ORDER BY b.rules_version DESC;

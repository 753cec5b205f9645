-- The newest price book.
SELECT
    b.price_version,
    b.imported_us,
    b.source,
    b.digest,
    b.currency
FROM price_books AS b
ORDER BY b.price_version DESC
LIMIT 1;

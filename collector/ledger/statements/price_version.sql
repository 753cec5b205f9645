-- One version of the price book.
SELECT
    b.price_version,
    b.imported_us,
    b.source,
    b.digest,
    b.currency
FROM price_books AS b
WHERE b.price_version = $price_version;

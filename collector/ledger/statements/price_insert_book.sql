-- A new version of the price book.
INSERT INTO price_books
SELECT
    $price_version,
    $imported_us,
    $source,
    $digest,
    $currency,
    $content;

-- The text of a version of the price book, as it was imported.
SELECT b.content
FROM price_books AS b
WHERE b.price_version = $price_version;

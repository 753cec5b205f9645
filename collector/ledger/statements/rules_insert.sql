-- A new version of the rule book.
INSERT INTO rule_books
SELECT
    $rules_version,
    $imported_us,
    $source,
    $digest,
    $content;

-- A new version of the rule book.
INSERT INTO rule_books (
    rules_version, imported_us, source, digest, content
) VALUES (
    $rules_version,
    $imported_us,
    $source,
    $digest,
    $content
);

SELECT
    number,
    name,
    digest
FROM migrations
ORDER BY number

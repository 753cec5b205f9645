-- Names of owners who are not seen.
SELECT s.name
FROM scope_names AS s
ORDER BY s.name;

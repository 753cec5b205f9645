-- Owners that charges and invoices know, and those that the newest owner mapping names in so many words.
SELECT
    o.organisation,
    o.department,
    o.team
FROM owners AS o
UNION
SELECT
    i.organisation,
    i.department,
    i.team
FROM invoices AS i
UNION
SELECT
    r.organisation,
    r.department,
    r.team
FROM owner_rules AS r
WHERE
    r.owner_version = (SELECT max(m.owner_version) FROM owner_maps AS m)
    AND NOT contains(concat(r.organisation, r.department, r.team), '{')
ORDER BY ALL;

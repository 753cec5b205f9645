-- Owners that charges may refer to already.
SELECT
    o.owner_id,
    o.organisation,
    o.department,
    o.team,
    o.project
FROM owners AS o
ORDER BY o.owner_id;

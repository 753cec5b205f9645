-- Owners that rules name for the first time.
INSERT INTO owners
SELECT
    n.owner_id,
    n.organisation,
    n.department,
    n.team,
    n.project
FROM new_owners AS n;

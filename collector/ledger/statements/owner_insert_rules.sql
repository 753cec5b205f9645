-- The rules of a new version of the owner mapping.
INSERT INTO owner_rules
SELECT
    $owner_version,
    n.rule,
    n.organisation,
    n.department,
    n.team,
    n.project,
    n.matches,
    n.from_us,
    n.to_us
FROM new_rules AS n;

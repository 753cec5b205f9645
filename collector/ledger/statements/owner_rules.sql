-- The rules of one owner mapping in its order.
SELECT
    r.rule,
    r.organisation,
    r.department,
    r.team,
    r.project,
    r.matches,
    r.from_us,
    r.to_us
FROM owner_rules AS r
WHERE r.owner_version = $owner_version
ORDER BY r.rule;

-- The entries of one policy book in its order.
SELECT
    e.entry,
    e.organisation,
    e.department,
    e.team,
    e.pool,
    e.model,
    e.from_us,
    e.to_us,
    e.settings
FROM policy_entries AS e
WHERE e.policy_version = $policy_version
ORDER BY e.entry;

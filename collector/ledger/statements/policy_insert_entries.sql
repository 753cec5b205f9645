-- The entries of a new version of the policy book.
INSERT INTO policy_entries
SELECT
    $policy_version,
    n.entry,
    n.organisation,
    n.department,
    n.team,
    n.pool,
    n.model,
    n.from_us,
    n.to_us,
    n.settings
FROM new_policies AS n;

-- The memberships of one directory in its order.
SELECT
    e.user_name,
    e.team,
    e.department,
    e.from_us,
    e.to_us
FROM directory_entries AS e
WHERE e.directory_version = $directory_version
ORDER BY e.entry;

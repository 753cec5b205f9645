-- The memberships of a new version of the directory.
INSERT INTO directory_entries
SELECT
    $directory_version,
    n.entry,
    n.user_name,
    n.team,
    n.department,
    n.from_us,
    n.to_us
FROM new_memberships AS n;

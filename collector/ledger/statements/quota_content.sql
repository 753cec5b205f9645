-- The text of a version of the quota book, as it was imported.
SELECT q.content
FROM quota_books AS q
WHERE q.quota_version = $quota_version;

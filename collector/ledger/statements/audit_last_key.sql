-- The key that signs, as the audit log knows it.
SELECT a.subject
FROM audit_events AS a
WHERE a.act = 'audit.key'
ORDER BY a.sequence DESC
LIMIT 1;

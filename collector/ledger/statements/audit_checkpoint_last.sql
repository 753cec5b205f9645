-- The newest checkpoint of the audit log.
SELECT
    c.size,
    c.at_us,
    c.edge
FROM audit_checkpoints AS c
ORDER BY c.size DESC, c.at_us DESC
LIMIT 1;

-- The checkpoints of the audit log, in order of time.
SELECT c.note
FROM audit_checkpoints AS c
ORDER BY c.size, c.at_us;

-- Entries of the audit log from a sequence on, in their order, at most so many.
SELECT
    a.sequence,
    a.entry
FROM audit_events AS a
WHERE a.sequence >= $first
ORDER BY a.sequence
LIMIT $max_rows;

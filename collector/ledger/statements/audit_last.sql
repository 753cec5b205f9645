-- The newest event of the audit log; its number is known from the statistics of the table.
SELECT
    a.sequence,
    a.at_us,
    a.entry
FROM audit_events AS a
WHERE a.sequence = (SELECT max(b.sequence) FROM audit_events AS b);

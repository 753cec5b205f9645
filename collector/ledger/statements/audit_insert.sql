INSERT INTO audit_events BY NAME
SELECT
    sequence,
    at_us,
    act,
    actor,
    subject,
    entry
FROM new_events

INSERT INTO events BY NAME
SELECT
    at_us,
    cluster,
    node,
    kind,
    severity,
    device_key,
    holder_key,
    message,
    details,
    batch_id
FROM incoming_events

SELECT DISTINCT
    cluster,
    node,
    device_key,
    at_us
FROM events
WHERE kind = 'device_retired'

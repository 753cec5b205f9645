SELECT
    device_id,
    from_us,
    to_us
FROM device_lives
ORDER BY device_id, from_us

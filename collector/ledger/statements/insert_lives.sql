INSERT INTO device_lives BY NAME
SELECT
    device_id,
    from_us,
    to_us
FROM incoming_lives

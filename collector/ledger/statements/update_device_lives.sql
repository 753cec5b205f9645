UPDATE devices
SET
    first_seen_us = found.first_us,
    retired_us = found.last_us
FROM (
    SELECT
        device_id,
        min(from_us) AS first_us,
        CASE WHEN count(to_us) = count(*) THEN max(to_us) END AS last_us
    FROM incoming_lives
    GROUP BY device_id
) AS found
WHERE devices.device_id = found.device_id

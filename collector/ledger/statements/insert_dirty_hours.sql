INSERT INTO dirty_hours BY NAME
SELECT cluster, hour_us
FROM incoming_dirty
WHERE NOT EXISTS (
    SELECT 1 FROM dirty_hours
    WHERE dirty_hours.cluster = incoming_dirty.cluster AND dirty_hours.hour_us = incoming_dirty.hour_us
)

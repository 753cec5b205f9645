INSERT INTO dirty_hours BY NAME
SELECT
    i.cluster,
    i.hour_us
FROM incoming_dirty AS i
WHERE NOT EXISTS (
    SELECT 1
    FROM dirty_hours AS d
    WHERE d.cluster = i.cluster AND d.hour_us = i.hour_us
)

DELETE FROM device_lives
WHERE device_id IN (SELECT i.device_id FROM incoming_lives AS i)

DELETE FROM device_lives WHERE device_id IN (SELECT device_id FROM incoming_lives)

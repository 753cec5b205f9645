INSERT INTO device_lives BY NAME SELECT * FROM incoming_lives

INSERT INTO devices BY NAME SELECT * FROM incoming_devices

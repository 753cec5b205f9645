INSERT INTO events BY NAME SELECT * FROM incoming_events

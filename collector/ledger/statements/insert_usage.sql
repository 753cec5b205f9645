INSERT INTO usage BY NAME SELECT * FROM incoming_usage

INSERT INTO reasons BY NAME SELECT * FROM incoming_reasons

INSERT INTO holders BY NAME SELECT * FROM incoming_holders

INSERT INTO batches BY NAME SELECT * FROM incoming_batches

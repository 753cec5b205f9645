INSERT INTO evidence BY NAME SELECT * FROM incoming_evidence

INSERT INTO board_energy BY NAME SELECT * FROM incoming_energy

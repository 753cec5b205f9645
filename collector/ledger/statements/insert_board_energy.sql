INSERT INTO board_energy BY NAME
SELECT
    batch_id,
    board,
    energy_mj,
    epoch,
    first_mj,
    last_mj
FROM incoming_energy

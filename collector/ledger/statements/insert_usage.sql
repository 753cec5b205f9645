INSERT INTO usage BY NAME
SELECT
    device_id,
    holder_id,
    start_us,
    end_us,
    state,
    reason_id,
    evidence_id,
    held_us,
    active_us,
    energy_mj,
    memory_mean_bytes,
    memory_max_bytes,
    batch_id
FROM incoming_usage

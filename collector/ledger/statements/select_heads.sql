SELECT
    coalesce((SELECT max(batch_id) FROM batches), 0) + 1 AS next_batch_id,
    coalesce((SELECT max(quarantine_id) FROM quarantine), 0) + 1 AS next_quarantine_id

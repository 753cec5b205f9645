-- The roll-up is kept by adding: every sum here is an integer, so the order of batches does not matter.
MERGE INTO usage_hourly AS kept
USING (
    SELECT
        start_us - start_us % 3600000000 AS hour_us,
        device_id,
        holder_id,
        state,
        reason_id,
        sum(held_us)::BIGINT AS held_us,
        coalesce(sum(active_us), 0)::BIGINT AS active_us,
        coalesce(sum(held_us) FILTER (WHERE active_us IS NULL), 0)::BIGINT AS active_unknown_us,
        coalesce(sum(energy_mj), 0)::BIGINT AS energy_mj,
        coalesce(sum(held_us) FILTER (WHERE energy_mj IS NULL), 0)::BIGINT AS energy_unknown_us,
        coalesce(sum(memory_mean_bytes::HUGEINT * held_us), 0) AS memory_byte_us,
        max(memory_max_bytes) AS memory_max_bytes
    FROM incoming_usage
    GROUP BY ALL
) AS added
    ON
        kept.hour_us BETWEEN $first_hour_us AND $last_hour_us
        AND kept.hour_us = added.hour_us
        AND kept.device_id = added.device_id
        AND kept.holder_id IS NOT DISTINCT FROM added.holder_id
        AND kept.state = added.state
        AND kept.reason_id = added.reason_id
WHEN MATCHED THEN
    UPDATE SET
        held_us = kept.held_us + added.held_us,
        active_us = kept.active_us + added.active_us,
        active_unknown_us = kept.active_unknown_us + added.active_unknown_us,
        energy_mj = kept.energy_mj + added.energy_mj,
        energy_unknown_us = kept.energy_unknown_us + added.energy_unknown_us,
        memory_byte_us = kept.memory_byte_us + added.memory_byte_us,
        memory_max_bytes = greatest(kept.memory_max_bytes, added.memory_max_bytes)
WHEN NOT MATCHED THEN
    INSERT VALUES (
        added.hour_us,
        added.device_id,
        added.holder_id,
        added.state,
        added.reason_id,
        added.held_us,
        added.active_us,
        added.active_unknown_us,
        added.energy_mj,
        added.energy_unknown_us,
        added.memory_byte_us,
        added.memory_max_bytes
    )

INSERT INTO batches BY NAME
SELECT
    batch_id,
    agent,
    boot,
    sequence,
    cluster,
    node,
    digest,
    usage_rows,
    from_us,
    until_us,
    sealed_at_us,
    received_us,
    software
FROM incoming_batches

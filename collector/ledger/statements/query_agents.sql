-- Agents with their newest batch.
SELECT
    b.agent,
    b.cluster,
    b.node,
    b.boot,
    b.sequence,
    b.until_us,
    b.received_us,
    b.software
FROM batches AS b
WHERE
    b.batch_id IN (
        SELECT max(n.batch_id)
        FROM batches AS n
        GROUP BY n.agent
    )
ORDER BY b.agent;

-- Agents with their newest batch.
SELECT
    b.agent,
    arg_max(b.cluster, b.batch_id) AS cluster,
    arg_max(b.node, b.batch_id) AS node,
    arg_max(b.boot, b.batch_id) AS boot,
    arg_max(b.sequence, b.batch_id) AS sequence,
    max(b.until_us) AS until_us,
    max(b.received_us) AS received_us,
    arg_max(b.software, b.batch_id) AS software
FROM batches AS b
GROUP BY b.agent
ORDER BY b.agent;

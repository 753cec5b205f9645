-- Runs of sequence numbers that were taken, per spool.
WITH numbered AS (
    SELECT
        agent,
        boot,
        sequence,
        sequence - row_number() OVER (PARTITION BY agent, boot ORDER BY sequence) AS run
    FROM batches
)

SELECT
    agent,
    boot,
    min(sequence) AS begins,
    max(sequence) + 1 AS past
FROM numbered
GROUP BY agent, boot, run
ORDER BY agent, boot, begins

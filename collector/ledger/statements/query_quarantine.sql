-- Frames that could not be taken, the newest first.
SELECT
    q.received_us,
    q.code,
    q.detail,
    q.agent,
    q.digest,
    octet_length(q.frame) AS size_bytes
FROM quarantine AS q
ORDER BY q.received_us DESC, q.quarantine_id DESC
LIMIT $max_rows;

SELECT
    quarantine_id,
    digest,
    octet_length(frame) AS size_bytes
FROM quarantine
ORDER BY quarantine_id

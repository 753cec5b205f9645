SELECT
    reason_id,
    reason
FROM reasons
ORDER BY reason_id

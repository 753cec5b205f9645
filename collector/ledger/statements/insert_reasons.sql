INSERT INTO reasons BY NAME
SELECT
    reason_id,
    reason
FROM incoming_reasons

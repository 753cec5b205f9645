INSERT INTO quarantine BY NAME
SELECT
    quarantine_id,
    received_us,
    code,
    detail,
    agent,
    digest,
    frame
FROM incoming_quarantine

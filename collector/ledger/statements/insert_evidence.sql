INSERT INTO evidence BY NAME
SELECT
    evidence_id,
    holder_method,
    activity_method,
    energy_method,
    split_rule,
    confidence
FROM incoming_evidence

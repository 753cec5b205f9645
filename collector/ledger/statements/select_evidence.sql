SELECT
    evidence_id,
    holder_method,
    activity_method,
    energy_method,
    split_rule,
    confidence
FROM evidence
ORDER BY evidence_id

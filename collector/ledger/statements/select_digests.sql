SELECT
    b.agent,
    b.boot,
    b.sequence,
    b.digest
FROM batches AS b
INNER JOIN incoming_identities AS i ON b.agent = i.agent AND b.boot = i.boot AND b.sequence = i.sequence

SELECT batches.agent, batches.boot, batches.sequence, batches.digest
FROM batches
INNER JOIN incoming_identities USING (agent, boot, sequence)

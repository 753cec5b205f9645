-- Namespaces that pods with GPUs were seen in.
SELECT DISTINCT h.namespace
FROM holders AS h
WHERE h.kind = 'pod' AND h.namespace <> ''
ORDER BY h.namespace;

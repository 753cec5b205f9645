-- From when until when each cluster is known.
SELECT
    cluster,
    min(from_us) AS from_us,
    max(until_us) AS until_us
FROM batches
GROUP BY cluster
ORDER BY cluster

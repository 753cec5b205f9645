-- What devices there were in a period and what an hour of one cost, by cluster, model and MIG profile; null: no price.
SELECT
    d.cluster,
    d.model,
    d.mig_profile,
    d.parts,
    min(d.memory_bytes) AS memory_bytes,
    count(DISTINCT d.device_id) AS devices,
    (
        sum(c.cost_quanta)::HUGEINT * 3600000000
        // nullif(sum(c.held_us) FILTER (WHERE c.cost_quanta IS NOT NULL), 0)
    )::BIGINT AS rate_quanta
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND d.kind IN ('gpu', 'mig')
GROUP BY d.cluster, d.model, d.mig_profile, d.parts
ORDER BY d.cluster, d.model, d.parts, d.mig_profile;

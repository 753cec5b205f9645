-- What the next period that closes will correct, by the period that it corrects.
SELECT
    p.corrects_period_id,
    count(*) AS correction_count,
    sum(p.held_us * d.parts)::HUGEINT AS part_us,
    sum(p.cost_quanta)::BIGINT AS cost_quanta
FROM pending_corrections AS p
INNER JOIN devices AS d ON p.device_id = d.device_id
GROUP BY p.corrects_period_id
ORDER BY p.corrects_period_id;

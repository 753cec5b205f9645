-- What the devices of each node cost and how long they existed, by UTC day, as it is known now; a pool of a job log has
-- no node and stands under its own name. gpus is how many boards had charges that day.
SELECT
    d.cluster,
    c.hour_us - c.hour_us % 86400000000 AS day_us,
    CASE WHEN d.node = '' THEN d.device_key ELSE d.node END AS node,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta,
    sum(c.held_us::HUGEINT * d.parts)::BIGINT AS part_us,
    coalesce(sum(c.held_us::HUGEINT * d.parts) FILTER (WHERE c.cost_quanta IS NULL), 0)::BIGINT AS unpriced_part_us,
    count(DISTINCT CASE WHEN d.board = '' THEN d.device_key ELSE d.board END)::BIGINT AS gpus
FROM current_charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY ALL
ORDER BY day_us, d.cluster, node;

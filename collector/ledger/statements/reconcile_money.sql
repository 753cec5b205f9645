-- Charges of a period by device and hour, with the one rate that they should have; pending hours left out.
WITH chosen AS (
    SELECT c.*
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
)

SELECT
    c.hour_us,
    c.device_id,
    sum(c.held_us)::BIGINT AS held_us,
    count(DISTINCT c.rate_quanta) AS rates,
    min(c.rate_quanta) AS rate_quanta,
    count(*) FILTER (WHERE (c.cost_quanta IS NULL) <> (c.rate_quanta IS NULL)) AS unmatched,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta,
    min(c.price_version) AS price_version,
    min(c.price_entry) AS price_entry
FROM chosen AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN pending_hours AS p ON d.cluster = p.cluster AND c.hour_us = p.hour_us
WHERE p.hour_us IS NULL
GROUP BY c.hour_us, c.device_id
ORDER BY c.hour_us, c.device_id;

-- Boards that were charged for more than one whole GPU in an hour: a GPU and its slices at once. Waiting hours are left
-- out, and pools, whose capacity is their own.
WITH chosen AS (
    SELECT c.*
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
)

SELECT
    c.hour_us,
    any_value(c.device_id) AS device_id,
    sum(c.held_us * d.parts)::HUGEINT AS part_us
FROM chosen AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
ANTI JOIN proof_waiting AS w ON d.cluster = w.cluster AND c.hour_us = w.hour_us
WHERE d.kind <> 'pool'
GROUP BY c.hour_us, d.cluster, d.node, coalesce(nullif(d.board, ''), d.device_key)
HAVING sum(c.held_us * d.parts) > 840::HUGEINT * 3600000000
ORDER BY c.hour_us, device_id;

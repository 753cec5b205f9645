-- Held time without work by holder, reason and model, beside all that the holder held of that model; dearest first.
WITH chosen AS (
    SELECT c.*
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.holder_id IS NOT NULL
),

held AS (
    SELECT
        c.holder_id,
        d.model,
        sum(c.held_us * d.parts) AS held_part_us
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    GROUP BY c.holder_id, d.model
),

wasted AS (
    SELECT
        c.holder_id,
        c.owner_id,
        c.reason_id,
        d.model,
        sum(c.held_us * d.parts) AS part_us,
        coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0) AS unpriced_part_us,
        coalesce(sum(c.cost_quanta), 0) AS cost_quanta
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    WHERE c.state = 2
    GROUP BY c.holder_id, c.owner_id, c.reason_id, d.model
)

SELECT
    w.holder_id,
    h.holder_key,
    h.kind AS holder_kind,
    h.namespace,
    h.user_name,
    o.team,
    w.model,
    w.part_us,
    a.held_part_us,
    w.unpriced_part_us,
    w.cost_quanta,
    coalesce(r.reason, '') AS reason,
    workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key) AS workload
FROM wasted AS w
INNER JOIN held AS a ON w.holder_id = a.holder_id AND w.model = a.model
INNER JOIN holders AS h ON w.holder_id = h.holder_id
LEFT JOIN owners AS o ON w.owner_id = o.owner_id
LEFT JOIN reasons AS r ON w.reason_id = r.reason_id
WHERE w.part_us > 0
ORDER BY w.cost_quanta DESC, w.part_us DESC, h.holder_key ASC, w.model ASC, r.reason ASC, o.team ASC;

-- What each holder had of each device, and what of it it needed: its busiest hours, the most memory, and the cost of
-- the time in which it worked. What was not read is counted apart. Held states are 1, 2, 6 and 7.
WITH hours AS (
    SELECT
        u.holder_id,
        u.device_id,
        u.start_us - u.start_us % 3600000000 AS hour_us,
        sum(u.held_us) AS held_us,
        coalesce(sum(u.active_us), 0) AS active_us,
        coalesce(sum(u.held_us) FILTER (WHERE u.active_us IS NULL), 0) AS active_unknown_us,
        coalesce(sum(u.held_us) FILTER (WHERE u.memory_max_bytes IS NULL), 0) AS memory_unknown_us,
        max(u.memory_max_bytes) AS memory_max_bytes,
        bool_and(coalesce(e.split_rule, '') IN ('', 'whole', 'slices')) AS alone
    FROM usage AS u
    LEFT JOIN evidence AS e ON u.evidence_id = e.evidence_id
    WHERE
        u.start_us >= $from_us AND u.start_us < $to_us
        AND u.holder_id IS NOT NULL AND u.state IN (1, 2, 6, 7) AND u.held_us > 0
    GROUP BY u.holder_id, u.device_id, hour_us
),

needed AS (
    SELECT
        h.holder_id,
        h.device_id,
        sum(h.held_us)::BIGINT AS held_us,
        sum(h.active_unknown_us)::BIGINT AS active_unknown_us,
        sum(h.memory_unknown_us)::BIGINT AS memory_unknown_us,
        bool_and(h.alone) AS alone,
        max(h.memory_max_bytes) AS memory_max_bytes,
        arg_max(h.hour_us, h.memory_max_bytes) AS memory_hour_us,
        quantile_disc(h.active_us * 1000000 // h.held_us, 0.95)::BIGINT AS active_p95_ppm,
        max(h.active_us * 1000000 // h.held_us)::BIGINT AS active_max_ppm,
        arg_max(h.hour_us, h.active_us * 1000000 // h.held_us) AS active_hour_us
    FROM hours AS h
    GROUP BY h.holder_id, h.device_id
),

-- The charges of time at work: what it cost, and which segment of an hour stands for it.
worked AS (
    SELECT
        c.holder_id,
        c.device_id,
        c.hour_us,
        sum(c.held_us) AS held_us,
        sum(c.cost_quanta) AS cost_quanta,
        coalesce(bool_or(c.cost_quanta IS NULL), FALSE) AS unpriced,
        min(c.offset_us) AS offset_us,
        arg_max(c.owner_id, c.held_us) AS owner_id
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.holder_id IS NOT NULL AND c.state = 1
    GROUP BY c.holder_id, c.device_id, c.hour_us
),

charged AS (
    SELECT
        w.holder_id,
        w.device_id,
        sum(w.held_us)::BIGINT AS worked_us,
        sum(w.cost_quanta)::BIGINT AS cost_quanta,
        bool_or(w.unpriced) AS unpriced,
        arg_max(w.owner_id, w.held_us) AS owner_id
    FROM worked AS w
    GROUP BY w.holder_id, w.device_id
)

SELECT
    d.cluster,
    d.node,
    d.device_key AS device,
    d.model,
    d.mig_profile,
    d.parts,
    d.memory_bytes,
    p.holder_key AS holder,
    p.user_name,
    n.held_us,
    n.active_unknown_us,
    n.memory_unknown_us,
    n.alone,
    n.memory_max_bytes,
    m.hour_us AS memory_hour_us,
    m.offset_us AS memory_offset_us,
    n.active_p95_ppm,
    n.active_max_ppm,
    a.hour_us AS active_hour_us,
    a.offset_us AS active_offset_us,
    c.worked_us,
    workload_label(p.workload_name, p.workload_id, p.pod, p.slurm_job, p.container, p.holder_key) AS workload,
    coalesce(o.team, '') AS team,
    CASE WHEN NOT c.unpriced THEN c.cost_quanta END AS cost_quanta
FROM needed AS n
INNER JOIN charged AS c ON n.holder_id = c.holder_id AND n.device_id = c.device_id
INNER JOIN devices AS d ON n.device_id = d.device_id
INNER JOIN holders AS p ON n.holder_id = p.holder_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
LEFT JOIN worked AS m ON n.holder_id = m.holder_id AND n.device_id = m.device_id AND n.memory_hour_us = m.hour_us
LEFT JOIN worked AS a ON n.holder_id = a.holder_id AND n.device_id = a.device_id AND n.active_hour_us = a.hour_us
WHERE d.kind <> 'pool'
ORDER BY d.cluster, p.holder_key, d.node, d.device_key;

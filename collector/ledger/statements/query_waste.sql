-- Held time without work, and what MIG left over (idle for the reason `stranded`), by what, whose and why: the dearest
-- first. The low cost leaves out hours in which the device also worked for its holder, and the first $grace hours of
-- every unbroken stretch of others. Sizes are microseconds x parts.
WITH placed AS ( -- a device that changed, and a holder that came back, go by the first of their ids
    SELECT
        d.device_id,
        d.cluster,
        d.node,
        d.parts,
        min(d.device_id) OVER (PARTITION BY d.cluster, d.node, d.device_key) AS place_id
    FROM devices AS d
),

tenants AS (
    SELECT
        h.holder_id,
        h.user_name,
        min(h.holder_id) OVER (PARTITION BY h.holder_key) AS tenant_id,
        workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key) AS workload
    FROM holders AS h
),

wasted AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.owner_id,
        c.state,
        c.reason_id,
        c.held_us,
        c.energy_mj,
        c.cost_quanta,
        p.place_id,
        coalesce(t.tenant_id, -1) AS tenant_id
    FROM charges AS c
    INNER JOIN placed AS p ON c.device_id = p.device_id
    LEFT JOIN tenants AS t ON c.holder_id = t.holder_id
    LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.state = 2 OR (c.state = 3 AND r.reason = 'stranded'))
),

hours AS (
    SELECT DISTINCT
        w.place_id,
        w.tenant_id,
        w.hour_us
    FROM wasted AS w
),

worked AS (
    SELECT
        h.place_id,
        h.tenant_id,
        h.hour_us
    FROM charges AS c
    INNER JOIN placed AS p ON c.device_id = p.device_id
    LEFT JOIN tenants AS t ON c.holder_id = t.holder_id
    INNER JOIN hours AS h
        ON
            c.hour_us = h.hour_us
            AND p.place_id = h.place_id
            AND coalesce(t.tenant_id, -1) = h.tenant_id
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.active_us > 0
),

-- The grace is over where as many hours before this one were idle, too: then the hour that many places before it is
-- that many hours before it.
idle_hours AS (
    SELECT
        h.place_id,
        h.tenant_id,
        h.hour_us,
        lag(h.hour_us, $grace) OVER (PARTITION BY h.place_id, h.tenant_id ORDER BY h.hour_us)
        = h.hour_us - $grace * 3600000000 AS past_grace
    FROM hours AS h
    ANTI JOIN worked AS k ON h.place_id = k.place_id AND h.tenant_id = k.tenant_id AND h.hour_us = k.hour_us
),

narrow AS (
    SELECT
        w.device_id,
        w.holder_id,
        w.owner_id,
        w.state,
        w.reason_id,
        sum(w.held_us) AS held_us,
        sum(w.held_us) FILTER (WHERE w.cost_quanta IS NULL) AS unpriced_us,
        sum(w.energy_mj) AS energy_mj,
        sum(w.cost_quanta) AS high_quanta, -- NULL where none has a price
        sum(w.cost_quanta) FILTER (WHERE i.past_grace) AS low_quanta
    FROM wasted AS w
    LEFT JOIN idle_hours AS i ON w.place_id = i.place_id AND w.tenant_id = i.tenant_id AND w.hour_us = i.hour_us
    GROUP BY w.device_id, w.holder_id, w.owner_id, w.state, w.reason_id
),

named AS (
    SELECT
        n.*,
        p.cluster,
        p.parts,
        p.place_id,
        t.tenant_id,
        CASE n.state WHEN 2 THEN 'held_idle' ELSE 'stranded' END AS kind,
        coalesce(nullif(r.reason, ''), 'unknown') AS reason,
        CASE n.state WHEN 2 THEN t.workload ELSE '' END AS workload,
        CASE n.state WHEN 2 THEN coalesce(o.team, '') ELSE '' END AS team,
        CASE n.state WHEN 2 THEN coalesce(t.user_name, '') ELSE '' END AS user_name,
        CASE n.state WHEN 2 THEN '' ELSE p.node END AS node
    FROM narrow AS n
    INNER JOIN placed AS p ON n.device_id = p.device_id
    LEFT JOIN tenants AS t ON n.holder_id = t.holder_id
    LEFT JOIN owners AS o ON n.owner_id = o.owner_id
    LEFT JOIN reasons AS r ON n.reason_id = r.reason_id
)

SELECT
    n.kind,
    n.reason,
    n.workload,
    n.team,
    n.user_name,
    n.node,
    count(DISTINCT row(n.cluster, n.tenant_id)) FILTER (WHERE n.tenant_id IS NOT NULL) AS holders,
    count(DISTINCT n.place_id) AS devices,
    sum(n.held_us * n.parts) AS part_us,
    coalesce(sum(n.unpriced_us * n.parts), 0) AS unpriced_part_us,
    CASE WHEN count(n.high_quanta) > 0 THEN coalesce(sum(n.low_quanta), 0) END AS low_quanta,
    sum(n.high_quanta) AS high_quanta,
    sum(n.energy_mj) AS energy_mj
FROM named AS n
GROUP BY n.kind, n.reason, n.workload, n.team, n.user_name, n.node
ORDER BY
    sum(n.high_quanta) DESC NULLS LAST, sum(n.held_us * n.parts) DESC, n.kind ASC, n.reason ASC, n.workload ASC,
    n.team ASC, n.user_name ASC, n.node ASC;

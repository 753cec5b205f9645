-- The dearest charges of rows of waste, which waste_groups has: three of each, and those that tie with the third in
-- cost and hour.
WITH found AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.state,
        c.cost_quanta,
        d.cluster,
        d.node,
        d.device_key AS device,
        h.holder_key AS holder,
        coalesce(r.reason, '') AS reason,
        CASE c.state WHEN 2 THEN 'held_idle' ELSE 'stranded' END AS kind,
        CASE c.state
            WHEN 2 THEN workload_label(h.workload_name, h.workload_id, h.pod, h.slurm_job, h.container, h.holder_key)
            ELSE ''
        END AS workload,
        CASE c.state WHEN 2 THEN coalesce(o.team, '') ELSE '' END AS team,
        CASE c.state WHEN 2 THEN coalesce(h.user_name, '') ELSE '' END AS user_name,
        CASE c.state WHEN 2 THEN '' ELSE d.node END AS at_node
    FROM charges AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN holders AS h ON c.holder_id = h.holder_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
    WHERE
        c.hour_us >= $from_us
        AND c.hour_us < $to_us
        AND (c.state = 2 OR (c.state = 3 AND r.reason = 'stranded'))
)

SELECT
    g.place,
    f.hour_us,
    f.offset_us,
    f.state,
    f.cost_quanta,
    f.cluster,
    f.node,
    f.device,
    f.holder,
    f.reason
FROM found AS f
INNER JOIN waste_groups AS g
    ON
        f.kind = g.kind
        AND coalesce(nullif(f.reason, ''), 'unknown') = g.reason
        AND f.workload IS NOT DISTINCT FROM g.workload
        AND f.team = g.team
        AND f.user_name = g.user_name
        AND f.at_node = g.node
QUALIFY rank() OVER (PARTITION BY g.place ORDER BY coalesce(f.cost_quanta, -1) DESC, f.hour_us ASC) <= 3
ORDER BY g.place;

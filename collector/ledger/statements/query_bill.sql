-- The lines of bills with names in the place of keys: the charges of hours, or the corrections of closed periods.
WITH lines AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.owner_id,
        c.held_us,
        c.active_us,
        c.active_unknown_us,
        c.energy_mj,
        c.energy_unknown_us,
        c.price_version,
        c.price_entry,
        c.owner_version,
        c.rate_quanta,
        c.cost_quanta,
        c.active_cost_quanta,
        NULL AS period_id,
        NULL AS corrects
    FROM charges AS c
    WHERE $kind = 'charge' AND c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        k.hour_us,
        k.offset_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id,
        k.owner_id,
        k.held_us,
        NULL AS active_us,
        NULL AS active_unknown_us,
        NULL AS energy_mj,
        NULL AS energy_unknown_us,
        k.price_version,
        k.price_entry,
        k.owner_version,
        k.rate_quanta,
        k.cost_quanta,
        NULL AS active_cost_quanta,
        k.period_id,
        p.label AS corrects
    FROM corrections AS k
    INNER JOIN closed_periods AS b ON k.period_id = b.period_id
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
    WHERE $kind = 'correction' AND b.from_us >= $from_us AND b.to_us <= $to_us
)

SELECT
    l.period_id,
    l.corrects,
    l.hour_us,
    l.offset_us,
    l.device_id,
    d.cluster,
    d.node,
    d.device_key AS device,
    d.kind AS device_kind,
    d.model,
    d.mig_profile,
    d.parts,
    d.pool,
    l.holder_id,
    h.holder_key AS holder,
    h.kind AS holder_kind,
    h.namespace,
    h.pod,
    h.container,
    h.slurm_job,
    h.slurm_account,
    h.user_name,
    h.labels,
    h.workload_system,
    h.workload_scope,
    h.workload_id,
    h.workload_name,
    l.held_us,
    l.active_us,
    l.active_unknown_us,
    l.energy_mj,
    l.energy_unknown_us,
    l.price_version,
    l.price_entry,
    l.owner_version,
    l.rate_quanta,
    l.cost_quanta,
    l.active_cost_quanta,
    l.state::TINYINT AS state,
    coalesce(i.g_per_kwh, e.carbon_g_per_kwh) AS carbon_g_per_kwh,
    -- what rate_quanta would be without the entry's discount: its list rate, by parts, half to even
    CASE
        WHEN e.mig_profile <> '' THEN coalesce(e.list_rate_quanta, e.rate_quanta)
        ELSE coalesce(e.list_rate_quanta, e.rate_quanta)::HUGEINT * d.parts // 840 + CASE
            WHEN 2 * (coalesce(e.list_rate_quanta, e.rate_quanta)::HUGEINT * d.parts % 840) > 840 THEN 1
            WHEN 2 * (coalesce(e.list_rate_quanta, e.rate_quanta)::HUGEINT * d.parts % 840) = 840
                THEN coalesce(e.list_rate_quanta, e.rate_quanta)::HUGEINT * d.parts // 840 % 2
            ELSE 0
        END
    END::BIGINT AS list_rate_quanta,
    coalesce(r.reason, '') AS reason,
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(o.project, '') AS project
FROM lines AS l
INNER JOIN devices AS d ON l.device_id = d.device_id
LEFT JOIN holders AS h ON l.holder_id = h.holder_id
LEFT JOIN reasons AS r ON l.reason_id = r.reason_id
LEFT JOIN owners AS o ON l.owner_id = o.owner_id
LEFT JOIN price_entries AS e ON l.price_version = e.price_version AND l.price_entry = e.entry
LEFT JOIN carbon_known AS i ON e.carbon_region = i.region AND l.hour_us = i.hour_us
ORDER BY
    l.period_id, l.hour_us, d.cluster, d.node, d.device_key, l.device_id, l.offset_us, h.holder_key, l.state, r.reason,
    l.holder_id, l.corrects, l.owner_id, l.price_version, l.price_entry, l.owner_version
LIMIT $max_rows;

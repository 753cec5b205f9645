-- The digest of a period's bill: every charge, correction and adjustment of it, in an order that follows
-- from the rows alone.
WITH lines AS (
    SELECT
        c.hour_us,
        concat_ws(
            chr(31), 'charge', d.cluster, d.node, d.device_key, coalesce(h.holder_key, ''), c.state::VARCHAR,
            coalesce(r.reason, ''), coalesce(o.organisation, ''), coalesce(o.department, ''), coalesce(o.team, ''),
            coalesce(o.project, ''), c.held_us::VARCHAR, c.active_us::VARCHAR, c.active_unknown_us::VARCHAR,
            c.energy_mj::VARCHAR, c.energy_unknown_us::VARCHAR, coalesce(c.price_version::VARCHAR, '-'),
            coalesce(c.price_entry::VARCHAR, '-'), coalesce(c.owner_version::VARCHAR, '-'),
            coalesce(c.rate_quanta::VARCHAR, '-'), coalesce(c.cost_quanta::VARCHAR, '-'),
            coalesce(c.active_cost_quanta::VARCHAR, '-')
        ) AS row_text
    FROM charges AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN holders AS h ON c.holder_id = h.holder_id
    LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    UNION ALL
    SELECT
        k.hour_us,
        concat_ws(
            chr(31), 'correction', d.cluster, d.node, d.device_key, coalesce(h.holder_key, ''), k.state::VARCHAR,
            coalesce(r.reason, ''), coalesce(o.organisation, ''), coalesce(o.department, ''), coalesce(o.team, ''),
            coalesce(o.project, ''), k.held_us::VARCHAR, coalesce(k.price_version::VARCHAR, '-'),
            coalesce(k.price_entry::VARCHAR, '-'), coalesce(k.owner_version::VARCHAR, '-'),
            coalesce(k.rate_quanta::VARCHAR, '-'), k.cost_quanta::VARCHAR
        ) AS row_text
    FROM corrections AS k
    INNER JOIN devices AS d ON k.device_id = d.device_id
    LEFT JOIN holders AS h ON k.holder_id = h.holder_id
    LEFT JOIN reasons AS r ON k.reason_id = r.reason_id
    LEFT JOIN owners AS o ON k.owner_id = o.owner_id
    WHERE k.period_id = $period_id
    UNION ALL
    SELECT
        a.from_us AS hour_us,
        concat_ws(
            chr(31), 'adjustment', a.adjustment::VARCHAR, a.kind, a.because, a.reference, a.corrects,
            a.from_us::VARCHAR, a.to_us::VARCHAR, a.organisation, a.department, a.team, a.project, a.model,
            a.mig_profile, a.state::VARCHAR, a.part_us::VARCHAR, a.cost_quanta::VARCHAR
        ) AS row_text
    FROM adjustments AS a
    WHERE a.period_id = $period_id
),

hours AS (
    SELECT
        l.hour_us,
        sha256(string_agg(l.row_text, chr(30) ORDER BY l.row_text)) AS digest
    FROM lines AS l
    GROUP BY l.hour_us
)

SELECT sha256(coalesce(string_agg(h.hour_us::VARCHAR || ':' || h.digest, chr(30) ORDER BY h.hour_us), '')) AS digest
FROM hours AS h;

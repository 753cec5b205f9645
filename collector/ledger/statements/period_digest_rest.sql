-- The digests of what is on the bill of a period beside its charges: corrections by the hour that they correct,
-- adjustments by the instant from which they count.
WITH lines AS (
    SELECT
        'correction' AS kind,
        k.hour_us,
        concat_ws(
            chr(31), 'correction', d.cluster, d.node, d.device_key, coalesce(h.holder_key, ''), k.state::VARCHAR,
            coalesce(r.reason, ''), coalesce(o.organisation, ''), coalesce(o.department, ''), coalesce(o.team, ''),
            coalesce(o.project, ''), k.held_us::VARCHAR, coalesce(k.price_version::VARCHAR, '-'),
            coalesce(k.price_entry::VARCHAR, '-'), coalesce(k.owner_version::VARCHAR, '-'),
            coalesce(k.rate_quanta::VARCHAR, '-'), k.cost_quanta::VARCHAR, nullif(k.offset_us, 0)::VARCHAR
        ) AS row_text
    FROM corrections AS k
    INNER JOIN devices AS d ON k.device_id = d.device_id
    LEFT JOIN holders AS h ON k.holder_id = h.holder_id
    LEFT JOIN reasons AS r ON k.reason_id = r.reason_id
    LEFT JOIN owners AS o ON k.owner_id = o.owner_id
    WHERE k.period_id = $period_id
    UNION ALL
    SELECT
        'adjustment' AS kind,
        a.from_us AS hour_us,
        concat_ws(
            chr(31), 'adjustment', a.adjustment::VARCHAR, a.kind, a.because, a.reference, a.corrects,
            a.from_us::VARCHAR, a.to_us::VARCHAR, a.organisation, a.department, a.team, a.project, a.model,
            a.mig_profile, a.state::VARCHAR, a.part_us::VARCHAR, a.cost_quanta::VARCHAR
        ) AS row_text
    FROM adjustments AS a
    WHERE a.period_id = $period_id
)

SELECT
    l.kind,
    l.hour_us,
    sha256(string_agg(l.row_text, chr(30) ORDER BY l.row_text)) AS digest
FROM lines AS l
GROUP BY l.kind, l.hour_us
ORDER BY l.kind, l.hour_us;

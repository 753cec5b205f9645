-- The digest of each hour's charges in a slice of a period, in an order that follows from the rows alone.
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
            coalesce(c.active_cost_quanta::VARCHAR, '-'),
            nullif(c.offset_us, 0)::VARCHAR
        ) AS row_text
    FROM charges AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN holders AS h ON c.holder_id = h.holder_id
    LEFT JOIN reasons AS r ON c.reason_id = r.reason_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
)

SELECT
    l.hour_us,
    sha256(string_agg(l.row_text, chr(30) ORDER BY l.row_text)) AS digest
FROM lines AS l
GROUP BY l.hour_us
ORDER BY l.hour_us;

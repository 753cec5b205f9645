-- Rate the hours of rate_pass: the same rules as gpuledger.accounting.rating, which is the reference.
-- rate_prices and rate_owners say what applies from when until when; rate_payers which prices are an owner's own.
-- Within a segment both are constant. A segment is a whole hour, or where a price of the device turns in it one of
-- those in rate_segments, with its usage in rate_pieces.
WITH chosen AS (
    SELECT u.*
    FROM usage_hourly AS u
    WHERE u.hour_us BETWEEN $first_hour_us AND $last_hour_us
),

recorded AS (
    SELECT
        u.hour_us,
        0 AS offset_us,
        u.device_id,
        u.holder_id,
        u.state,
        u.reason_id,
        u.held_us,
        u.active_us,
        u.active_unknown_us,
        u.energy_mj,
        u.energy_unknown_us
    FROM chosen AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    INNER JOIN rate_pass AS p ON d.cluster = p.cluster AND u.hour_us = p.hour_us
    ANTI JOIN rate_segments AS s ON u.device_id = s.device_id AND u.hour_us = s.hour_us
    UNION ALL BY NAME
    SELECT c.* FROM rate_pieces AS c
),

held AS (
    SELECT
        r.hour_us,
        r.offset_us,
        r.device_id,
        sum(r.held_us)::BIGINT AS held_us
    FROM recorded AS r
    GROUP BY r.hour_us, r.offset_us, r.device_id
),

alive AS (
    SELECT
        p.hour_us,
        l.device_id,
        l.kind,
        l.capacity_units,
        0 AS offset_us,
        greatest(l.from_us, p.hour_us) AS start_us,
        least(l.until_us, p.hour_us + 3600000000) AS end_us
    FROM known_lives AS l
    INNER JOIN rate_pass AS p
        ON l.cluster = p.cluster AND l.from_us < p.hour_us + 3600000000 AND l.until_us > p.hour_us
    ANTI JOIN rate_segments AS s ON l.device_id = s.device_id AND p.hour_us = s.hour_us
    WHERE l.capacity_units IS NOT NULL
    UNION ALL
    SELECT
        s.hour_us,
        l.device_id,
        l.kind,
        l.capacity_units,
        s.offset_us,
        greatest(l.from_us, s.start_us) AS start_us,
        least(l.until_us, s.end_us) AS end_us
    FROM known_lives AS l
    INNER JOIN rate_segments AS s
        ON l.device_id = s.device_id AND l.from_us < s.end_us AND l.until_us > s.start_us
    WHERE l.capacity_units IS NOT NULL
),

capacity AS (
    SELECT
        a.hour_us,
        a.offset_us,
        a.device_id,
        a.kind = 'pool' AS pooled,
        sum(a.capacity_units * (a.end_us - a.start_us))::BIGINT AS capacity_us
    FROM alive AS a
    GROUP BY a.hour_us, a.offset_us, a.device_id, a.kind
),

rest AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.device_id,
        c.pooled,
        c.capacity_us - coalesce(h.held_us, 0) AS rest_us
    FROM capacity AS c
    LEFT JOIN held AS h ON c.hour_us = h.hour_us AND c.offset_us = h.offset_us AND c.device_id = h.device_id
    WHERE c.capacity_us > coalesce(h.held_us, 0)
),

completed AS (
    SELECT * FROM recorded
    UNION ALL BY NAME
    SELECT
        r.hour_us,
        r.offset_us,
        r.device_id,
        NULL AS holder_id,
        CASE WHEN r.pooled THEN 3 ELSE 5 END AS state,
        CASE WHEN r.pooled THEN 1 ELSE 2 END AS reason_id,
        r.rest_us AS held_us,
        0 AS active_us,
        CASE WHEN r.pooled THEN 0 ELSE r.rest_us END AS active_unknown_us,
        0 AS energy_mj,
        r.rest_us AS energy_unknown_us
    FROM rest AS r
),

merged AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        sum(c.held_us)::BIGINT AS held_us,
        sum(c.active_us)::BIGINT AS active_us,
        sum(c.active_unknown_us)::BIGINT AS active_unknown_us,
        sum(c.energy_mj)::BIGINT AS energy_mj,
        sum(c.energy_unknown_us)::BIGINT AS energy_unknown_us
    FROM completed AS c
    GROUP BY c.hour_us, c.offset_us, c.device_id, c.holder_id, c.state, c.reason_id
),

priced AS (
    SELECT
        m.*,
        o.owner_id,
        p.price_entry,
        p.rate_quanta,
        h.holder_key,
        r.reason,
        sum(m.held_us) OVER shared AS shared_held_us,
        p.rate_quanta::HUGEINT * sum(m.held_us) OVER shared AS shared_product,
        p.rate_quanta::HUGEINT * m.active_us AS active_product
    FROM merged AS m
    INNER JOIN devices AS d ON m.device_id = d.device_id
    LEFT JOIN reasons AS r ON m.reason_id = r.reason_id
    LEFT JOIN holders AS h ON m.holder_id = h.holder_id
    LEFT JOIN rate_owners AS o
        ON m.holder_id = o.holder_id AND d.pool = o.pool AND m.hour_us >= o.from_us AND m.hour_us < o.to_us
    LEFT JOIN rate_payers AS y ON o.owner_id = y.owner_id
    LEFT JOIN rate_prices AS p
        ON
            m.device_id = p.device_id
            AND coalesce(y.payer, 0) = p.payer
            AND m.hour_us + m.offset_us >= p.from_us
            AND m.hour_us + m.offset_us < p.to_us
    WINDOW shared AS (PARTITION BY m.hour_us, m.device_id, m.offset_us, p.price_entry)
),

rounded AS (
    SELECT
        p.*,
        p.shared_product // 3600000000 + CASE
            WHEN 2 * (p.shared_product % 3600000000) > 3600000000 THEN 1
            WHEN 2 * (p.shared_product % 3600000000) = 3600000000 THEN (p.shared_product // 3600000000) % 2
            ELSE 0
        END AS shared_cost,
        p.active_product // 3600000000 + CASE
            WHEN 2 * (p.active_product % 3600000000) > 3600000000 THEN 1
            WHEN 2 * (p.active_product % 3600000000) = 3600000000 THEN (p.active_product // 3600000000) % 2
            ELSE 0
        END AS active_cost
    FROM priced AS p
),

floored AS (
    SELECT
        r.*,
        coalesce(r.shared_cost * r.held_us // nullif(r.shared_held_us, 0), 0) AS floor_share,
        coalesce(r.shared_cost * r.held_us % nullif(r.shared_held_us, 0), 0) AS fraction
    FROM rounded AS r
),

ranked AS (
    SELECT
        f.*,
        f.shared_cost - sum(f.floor_share) OVER (
            PARTITION BY f.hour_us, f.device_id, f.offset_us, f.price_entry
        ) AS left_over,
        row_number() OVER (
            PARTITION BY f.hour_us, f.device_id, f.offset_us, f.price_entry
            ORDER BY f.fraction DESC, f.holder_key ASC NULLS FIRST, f.state ASC, f.reason ASC, f.holder_id ASC
        ) AS place
    FROM floored AS f
)

SELECT
    r.hour_us,
    r.offset_us,
    r.device_id,
    r.holder_id,
    r.state,
    r.reason_id,
    r.owner_id,
    r.held_us,
    r.active_us,
    r.active_unknown_us,
    r.energy_mj,
    r.energy_unknown_us,
    r.price_entry,
    r.rate_quanta,
    $owner_version::INTEGER AS owner_version,
    CASE WHEN r.price_entry IS NOT NULL THEN $price_version::INTEGER END AS price_version,
    CASE WHEN r.rate_quanta IS NOT NULL THEN (r.floor_share + (r.place <= r.left_over)::INTEGER)::BIGINT
    END AS cost_quanta,
    CASE WHEN r.active_unknown_us = 0 OR r.active_us > 0 THEN r.active_cost::BIGINT END AS active_cost_quanta
FROM ranked AS r
ORDER BY r.hour_us, r.device_id, r.offset_us, r.price_entry, r.place;

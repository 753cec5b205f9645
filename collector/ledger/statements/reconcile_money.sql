-- Charges of a slice of a period against what each device's hour has to have and the rates that price entries give:
-- the sums, and of each code the first findings with how many there are. Waiting hours are left out.
-- proof_spans says when devices could be held, proof_rates which rates follow from the entries that are pinned,
-- proof_priced when the newest price book has a price for what charges leave unpriced.
WITH lived AS (
    SELECT
        s.device_id,
        s.cluster,
        s.units,
        greatest(s.start_us, $from_us) AS start_us,
        least(s.end_us, $to_us) AS end_us
    FROM proof_spans AS s
    WHERE s.units IS NOT NULL AND s.start_us < $to_us AND s.end_us > $from_us
),

hours AS (
    SELECT
        l.*,
        unnest(range(l.start_us - l.start_us % 3600000000, l.end_us, 3600000000)) AS hour_us
    FROM lived AS l
),

capacity AS (
    SELECT
        h.hour_us,
        h.device_id,
        sum(
            h.units * (least(h.end_us, h.hour_us + 3600000000) - greatest(h.start_us, h.hour_us))
        )::BIGINT AS capacity_us
    FROM hours AS h
    ANTI JOIN proof_waiting AS w ON h.cluster = w.cluster AND h.hour_us = w.hour_us
    GROUP BY h.hour_us, h.device_id
),

chosen AS (
    SELECT c.*
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

priced AS (
    SELECT
        c.hour_us,
        c.offset_us,
        c.device_id,
        d.parts,
        c.price_version,
        c.price_entry,
        c.rate_quanta,
        sum(c.held_us)::BIGINT AS held_us,
        coalesce(sum(c.cost_quanta), 0)::BIGINT AS cost_quanta,
        count(*) FILTER (WHERE (c.cost_quanta IS NULL) <> (c.rate_quanta IS NULL)) AS unmatched_count
    FROM chosen AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    ANTI JOIN proof_waiting AS w ON d.cluster = w.cluster AND c.hour_us = w.hour_us
    GROUP BY c.hour_us, c.offset_us, c.device_id, d.parts, c.price_version, c.price_entry, c.rate_quanta
),

charged AS (
    SELECT
        p.hour_us,
        p.device_id,
        sum(p.held_us)::BIGINT AS held_us,
        count(*) AS prices
    FROM priced AS p
    GROUP BY p.hour_us, p.device_id
),

device_hours AS (
    SELECT
        c.held_us,
        c.prices,
        coalesce(c.hour_us, a.hour_us) AS hour_us,
        coalesce(c.device_id, a.device_id) AS device_id,
        coalesce(a.capacity_us, c.held_us) AS due_us  -- what was held of a pool without a size is all there is
    FROM charged AS c
    FULL JOIN capacity AS a ON c.hour_us = a.hour_us AND c.device_id = a.device_id
),

-- Only device-hours in which a price turns: what lies between two turns, held against what there was.
cut_hours AS (
    SELECT DISTINCT
        p.hour_us,
        p.device_id
    FROM priced AS p
    WHERE p.offset_us > 0
),

segments AS (
    SELECT
        p.hour_us,
        p.offset_us,
        p.device_id,
        sum(p.held_us)::BIGINT AS held_us,
        p.hour_us + p.offset_us AS start_us,
        p.hour_us + lead(p.offset_us, 1, 3600000000) OVER device_hour AS end_us
    FROM priced AS p
    SEMI JOIN cut_hours AS c ON p.hour_us = c.hour_us AND p.device_id = c.device_id
    GROUP BY p.hour_us, p.offset_us, p.device_id
    WINDOW device_hour AS (PARTITION BY p.hour_us, p.device_id ORDER BY p.offset_us)
),

segment_capacity AS (
    SELECT
        g.hour_us,
        g.offset_us,
        g.device_id,
        sum(s.units * (least(s.end_us, g.end_us) - greatest(s.start_us, g.start_us)))::BIGINT AS due_us
    FROM segments AS g
    INNER JOIN proof_spans AS s ON g.device_id = s.device_id AND g.end_us > s.start_us AND g.start_us < s.end_us
    WHERE s.units IS NOT NULL
    GROUP BY g.hour_us, g.offset_us, g.device_id
),

products AS (
    SELECT
        p.*,
        p.rate_quanta::HUGEINT * CASE WHEN h.prices = 1 THEN h.due_us ELSE p.held_us END AS product
    FROM priced AS p
    INNER JOIN device_hours AS h ON p.hour_us = h.hour_us AND p.device_id = h.device_id
),

judged AS (
    SELECT
        p.*,
        2 * abs(p.product - p.cost_quanta::HUGEINT * 3600000000) AS twice_off
    FROM products AS p
),

-- a cost is right where it is nearest to the product, the even one of two that are equally near
wrong AS (
    SELECT
        j.*,
        (
            j.product // 3600000000 + CASE
                WHEN 2 * (j.product % 3600000000) > 3600000000 THEN 1
                WHEN 2 * (j.product % 3600000000) = 3600000000 THEN (j.product // 3600000000) % 2
                ELSE 0
            END
        ) - j.cost_quanta AS off_quanta
    FROM judged AS j
    WHERE j.twice_off > 3600000000 OR (j.twice_off = 3600000000 AND j.cost_quanta % 2 <> 0)
),

-- An entry that ends while its charge goes on, and so does the device: the hour should have been cut there.
outlived AS (
    SELECT
        j.hour_us,
        j.device_id,
        j.held_us,
        j.price_entry
    FROM judged AS j
    INNER JOIN proof_asked AS k ON j.device_id = k.device_id
    INNER JOIN proof_rates AS r
        ON
            k.asked = r.asked
            AND j.price_version = r.price_version
            AND j.price_entry = r.price_entry
            AND j.rate_quanta = r.rate_quanta
            AND r.to_us > j.hour_us + j.offset_us
            AND r.to_us < j.hour_us + 3600000000
    LEFT JOIN segments AS g
        ON j.hour_us = g.hour_us AND j.offset_us = g.offset_us AND j.device_id = g.device_id
    SEMI JOIN proof_spans AS s
        ON
            j.device_id = s.device_id
            AND s.units IS NOT NULL
            AND r.to_us < s.end_us
            AND coalesce(g.end_us, j.hour_us + 3600000000) > s.start_us
    WHERE r.to_us < coalesce(g.end_us, j.hour_us + 3600000000)
),

findings AS (
    SELECT
        h.hour_us,
        h.device_id,
        h.held_us,
        h.due_us,
        CASE
            WHEN h.held_us IS NULL THEN 'unrated'
            WHEN h.held_us > h.due_us THEN 'overbooked'
            ELSE 'charges'
        END AS code,
        '' AS cause,
        NULL AS price_entry,
        NULL AS off_quanta
    FROM device_hours AS h
    WHERE h.held_us IS DISTINCT FROM h.due_us
    UNION ALL
    SELECT
        g.hour_us,
        g.device_id,
        g.held_us,
        c.due_us,
        CASE WHEN g.held_us > c.due_us THEN 'overbooked' ELSE 'charges' END AS code,
        'segment' AS cause,
        NULL AS price_entry,
        NULL AS off_quanta
    FROM segments AS g
    INNER JOIN segment_capacity AS c
        ON g.hour_us = c.hour_us AND g.offset_us = c.offset_us AND g.device_id = c.device_id
    INNER JOIN device_hours AS h ON g.hour_us = h.hour_us AND g.device_id = h.device_id
    WHERE g.held_us <> c.due_us AND h.held_us = h.due_us
    UNION ALL
    SELECT
        j.hour_us,
        j.device_id,
        j.held_us,
        NULL AS due_us,
        'money' AS code,
        '' AS cause,
        j.price_entry,
        j.off_quanta
    FROM wrong AS j
    UNION ALL
    SELECT
        j.hour_us,
        j.device_id,
        j.held_us,
        NULL AS due_us,
        'price' AS code,
        CASE WHEN j.unmatched_count > 0 THEN 'unmatched' ELSE 'rate' END AS cause,
        j.price_entry,
        NULL AS off_quanta
    FROM judged AS j
    INNER JOIN proof_asked AS k ON j.device_id = k.device_id
    LEFT JOIN proof_rates AS r
        ON
            k.asked = r.asked
            AND j.price_version = r.price_version
            AND j.price_entry = r.price_entry
            AND j.rate_quanta = r.rate_quanta
            AND (r.from_us IS NULL OR r.from_us <= j.hour_us + j.offset_us)
            AND (r.to_us IS NULL OR r.to_us > j.hour_us + j.offset_us)
    WHERE j.unmatched_count > 0 OR (j.rate_quanta IS NOT NULL AND r.asked IS NULL)
    UNION ALL
    SELECT
        o.hour_us,
        o.device_id,
        o.held_us,
        NULL AS due_us,
        'price' AS code,
        'rate' AS cause,
        o.price_entry,
        NULL AS off_quanta
    FROM outlived AS o
    UNION ALL
    SELECT
        j.hour_us,
        j.device_id,
        j.held_us,
        NULL AS due_us,
        'price' AS code,
        'unpriced' AS cause,
        j.price_entry,
        NULL AS off_quanta
    FROM judged AS j
    INNER JOIN proof_asked AS k ON j.device_id = k.device_id
    SEMI JOIN proof_priced AS n
        ON
            k.asked = n.asked
            AND j.hour_us + j.offset_us >= n.from_us
            AND j.hour_us + j.offset_us < n.to_us
    ANTI JOIN closed_periods AS p ON j.hour_us >= p.from_us AND j.hour_us < p.to_us
    WHERE j.rate_quanta IS NULL
),

sums AS (
    SELECT
        coalesce(sum(j.cost_quanta), 0)::HUGEINT AS charged_quanta,
        (
            SELECT coalesce(sum(abs(w.off_quanta)), 0)::HUGEINT
            FROM wrong AS w
        ) AS imbalance_quanta,
        coalesce(sum(j.held_us * j.parts) FILTER (WHERE j.rate_quanta IS NULL), 0)::HUGEINT AS unpriced_part_us,
        count(j.rate_quanta) AS priced_count
    FROM judged AS j
),

told AS (
    SELECT
        f.*,
        count(*) OVER (PARTITION BY f.code) AS code_count
    FROM findings AS f
    QUALIFY row_number() OVER (PARTITION BY f.code ORDER BY f.hour_us, f.device_id, f.price_entry) <= $examples
)

SELECT
    t.*,
    s.charged_quanta,
    s.imbalance_quanta,
    s.unpriced_part_us,
    s.priced_count
FROM sums AS s
LEFT JOIN told AS t ON TRUE
ORDER BY t.hour_us, t.device_id, t.code, t.price_entry;

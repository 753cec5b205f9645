-- Charges of a period by step of time and one property of their holder, owner or device; timeline_steps says where the
-- step of each hour begins. Sizes are microseconds x parts. Held states are 1, 2, 6 and 7; 5 is unobserved.
-- A holder starts in the hour of its first charge of the period; in the first step it may only have been there already.
WITH begun AS (
    SELECT
        c.holder_id,
        min(c.hour_us) AS first_us
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.state IN (1, 2, 6, 7)
    GROUP BY c.holder_id
),

chosen AS (
    SELECT
        s.at_us,
        d.parts,
        c.held_us,
        c.cost_quanta,
        c.holder_id,
        c.state IN (1, 2, 6, 7) AS held,
        c.state = 5 AS unobserved,
        c.price_entry IS NULL AS unpriced,
        c.hour_us = b.first_us AND c.state IN (1, 2, 6, 7) AS is_first,
        key_of($by, c.owner_id, c.device_id, c.holder_id) AS key_id
    FROM charges AS c
    INNER JOIN timeline_steps AS s ON c.hour_us = s.hour_us
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN begun AS b ON c.holder_id = b.holder_id
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

started AS (
    SELECT
        h.at_us,
        h.key_id,
        count(DISTINCT h.holder_id) AS started
    FROM chosen AS h
    WHERE h.is_first
    GROUP BY h.at_us, h.key_id
),

narrow AS (
    SELECT
        c.at_us,
        c.key_id,
        sum(c.held_us * c.parts) AS part_us,
        sum(c.held_us * c.parts) FILTER (WHERE c.held) AS held_part_us,
        sum(c.held_us * c.parts) FILTER (WHERE c.unobserved) AS unobserved_part_us,
        sum(c.held_us * c.parts) FILTER (WHERE c.held AND c.unpriced) AS unpriced_part_us,
        sum(c.cost_quanta) FILTER (WHERE c.held) AS cost_quanta
    FROM chosen AS c
    GROUP BY c.at_us, c.key_id
),

keyed AS (
    SELECT
        n.*,
        s.started,
        name_of($by, o, h, d) AS group_key -- noqa: RF02
    FROM narrow AS n
    LEFT JOIN started AS s ON n.at_us = s.at_us AND n.key_id IS NOT DISTINCT FROM s.key_id
    LEFT JOIN devices AS d ON n.key_id = d.device_id
    LEFT JOIN holders AS h ON n.key_id = h.holder_id
    LEFT JOIN owners AS o ON n.key_id = o.owner_id
)

SELECT
    k.at_us,
    coalesce(k.group_key, '') AS group_name,
    sum(k.part_us)::BIGINT AS part_us,
    coalesce(sum(k.held_part_us), 0)::BIGINT AS held_part_us,
    coalesce(sum(k.unobserved_part_us), 0)::BIGINT AS unobserved_part_us,
    coalesce(sum(k.unpriced_part_us), 0)::BIGINT AS unpriced_part_us,
    coalesce(sum(k.cost_quanta), 0)::BIGINT AS cost_quanta,
    coalesce(sum(k.started), 0)::BIGINT AS started
FROM keyed AS k
GROUP BY k.at_us, coalesce(k.group_key, '')
ORDER BY k.at_us, coalesce(k.group_key, '');

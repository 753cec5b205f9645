-- What stands in the way of closing a period, and what it would be closed with.
WITH chosen AS (
    SELECT c.*
    FROM charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
),

later AS (
    SELECT count(*) AS pending_hours
    FROM pending_hours AS p
    WHERE p.hour_us >= $from_us AND p.hour_us < $to_us
)

SELECT
    any_value(l.pending_hours) AS pending_hours,
    count(c.hour_us) AS charge_count,
    coalesce(sum(c.cost_quanta), 0)::BIGINT AS charge_quanta,
    coalesce(sum(c.held_us * d.parts), 0)::HUGEINT AS part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL), 0)::HUGEINT AS unpriced_part_us,
    coalesce(sum(c.held_us * d.parts) FILTER (WHERE c.state = 5), 0)::HUGEINT AS unobserved_part_us
FROM later AS l
LEFT JOIN chosen AS c ON TRUE
LEFT JOIN devices AS d ON c.device_id = d.device_id;

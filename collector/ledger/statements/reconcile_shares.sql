-- Where the charges of one device's hour (or segment of it) at one price do not share its cost by time (each within one
-- quantum of its exact share), or a charge's active cost is not its active time at its rate; waiting hours left out.
WITH chosen AS (
    SELECT
        c.*,
        sum(c.held_us) OVER price AS hour_held_us,
        sum(c.cost_quanta) OVER price AS hour_cost_quanta
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.rate_quanta IS NOT NULL
    WINDOW price AS (PARTITION BY c.hour_us, c.device_id, c.offset_us, c.price_version, c.price_entry, c.rate_quanta)
),

judged AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.hour_held_us > 0 AND abs(
            c.cost_quanta::HUGEINT * c.hour_held_us - c.hour_cost_quanta * c.held_us
        ) >= c.hour_held_us AS uneven,
        CASE
            WHEN c.active_unknown_us > 0 AND c.active_us = 0 THEN c.active_cost_quanta IS NOT NULL
            ELSE
                c.active_cost_quanta IS NULL OR 2 * abs(
                    c.active_cost_quanta::HUGEINT * 3600000000 - c.rate_quanta::HUGEINT * c.active_us
                ) > 3600000000
        END AS misjudged
    FROM chosen AS c
)

SELECT
    j.hour_us,
    j.device_id,
    count(*) FILTER (WHERE j.uneven) AS uneven_count,
    count(*) FILTER (WHERE j.misjudged) AS misjudged_count
FROM judged AS j
INNER JOIN devices AS d ON j.device_id = d.device_id
ANTI JOIN proof_waiting AS w ON d.cluster = w.cluster AND j.hour_us = w.hour_us
WHERE j.uneven OR j.misjudged
GROUP BY j.hour_us, j.device_id
ORDER BY j.hour_us, j.device_id;

-- Charges of a period by hour of the week and one property of their device; week_steps says which hour of the week each
-- hour is. Sizes are microseconds x parts. Held states are 1, 2, 6 and 7. Devices of one name go by a number meanwhile:
-- the many rows are summed by that.
WITH named AS (
    SELECT
        d.device_id,
        d.parts,
        coalesce(nullif(name_of($by, NULL, NULL, d), ''), 'unknown') AS device_name -- noqa: RF02
    FROM devices AS d
),

numbered AS (
    SELECT
        n.*,
        min(n.device_id) OVER (PARTITION BY n.device_name) AS first_id
    FROM named AS n
),

-- Each sum is of both sides of the join: the planner would sum by device first, which are as many rows as hours have.
narrow AS (
    SELECT
        d.first_id,
        s.week_hour,
        c.state,
        sum(c.held_us * d.parts) AS part_us,
        sum(c.active_us * d.parts) AS active_part_us,
        sum(c.active_unknown_us * d.parts) AS unknown_part_us
    FROM charges AS c
    INNER JOIN week_steps AS s ON c.hour_us = s.hour_us
    INNER JOIN numbered AS d ON c.device_id = d.device_id
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
    GROUP BY d.first_id, s.week_hour, c.state
)

SELECT
    d.device_name AS group_name,
    n.week_hour,
    sum(n.part_us) AS capacity_part_us,
    coalesce(sum(n.part_us) FILTER (WHERE n.state IN (1, 2, 6, 7)), 0) AS held_part_us,
    coalesce(sum(n.active_part_us) FILTER (WHERE n.state IN (1, 2, 6, 7)), 0) AS active_part_us,
    coalesce(sum(n.part_us - n.unknown_part_us) FILTER (WHERE n.state IN (1, 2, 6, 7)), 0) AS watched_part_us,
    coalesce(sum(n.part_us) FILTER (WHERE n.state = 2), 0) AS held_idle_part_us,
    coalesce(sum(n.part_us) FILTER (WHERE n.state = 3), 0) AS idle_part_us,
    coalesce(sum(n.part_us) FILTER (WHERE n.state = 4), 0) AS unavailable_part_us,
    coalesce(sum(n.part_us) FILTER (WHERE n.state = 5), 0) AS unobserved_part_us
FROM narrow AS n
INNER JOIN numbered AS d ON n.first_id = d.device_id
GROUP BY d.device_name, n.week_hour
ORDER BY d.device_name, n.week_hour;

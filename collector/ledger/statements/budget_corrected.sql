-- What corrections of earlier periods come to for each owner on the bill of a closed period; period_id 0: on the next
-- bill, as things stand.
WITH waiting AS (
    SELECT
        p.device_id,
        p.owner_id,
        p.price_entry,
        p.held_us,
        p.cost_quanta
    FROM pending_corrections AS p
    WHERE $period_id = 0
    WINDOW
        charge AS (
            PARTITION BY
                p.corrects_period_id,
                p.hour_us,
                p.device_id,
                p.holder_id,
                p.state,
                p.reason_id,
                p.owner_id,
                p.rate_quanta
        )
    QUALIFY sum(p.held_us) OVER charge <> 0 OR sum(p.cost_quanta) OVER charge <> 0
),

billed AS (
    SELECT * FROM waiting
    UNION ALL
    SELECT
        k.device_id,
        k.owner_id,
        k.price_entry,
        k.held_us,
        k.cost_quanta
    FROM corrections AS k
    WHERE k.period_id = $period_id
)

SELECT
    coalesce(o.organisation, '') AS organisation,
    coalesce(o.department, '') AS department,
    coalesce(o.team, '') AS team,
    coalesce(sum(b.cost_quanta), 0)::HUGEINT AS cost_quanta,
    sum(b.held_us * d.parts)::HUGEINT AS part_us,
    coalesce(sum(b.held_us * d.parts) FILTER (WHERE b.price_entry IS NULL), 0)::HUGEINT AS unpriced_part_us
FROM billed AS b
INNER JOIN devices AS d ON b.device_id = d.device_id
LEFT JOIN owners AS o ON b.owner_id = o.owner_id
GROUP BY ALL
ORDER BY organisation, department, team;

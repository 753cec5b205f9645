-- What the next period that closes will correct, by the period that it corrects: the rows of corrections_pending.
WITH waiting AS (
    SELECT
        p.corrects_period_id,
        p.device_id,
        p.held_us,
        p.cost_quanta
    FROM pending_corrections AS p
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
)

SELECT
    w.corrects_period_id,
    count(*) AS correction_count,
    sum(w.held_us * d.parts)::HUGEINT AS part_us,
    sum(w.cost_quanta)::BIGINT AS cost_quanta
FROM waiting AS w
INNER JOIN devices AS d ON w.device_id = d.device_id
GROUP BY w.corrects_period_id
ORDER BY w.corrects_period_id;

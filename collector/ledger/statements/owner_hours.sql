-- What holders held in the open hours of a period, by pool, present owner and spell (in which no rule begins or ends).
WITH spells AS (
    SELECT s.*
    FROM owner_spells AS s
),

held AS (
    SELECT
        c.holder_id,
        d.pool,
        c.owner_id,
        s.start_us,
        sum(c.held_us * d.parts) AS part_us,
        sum(c.cost_quanta) AS cost_quanta
    FROM charges AS c
    INNER JOIN devices AS d ON c.device_id = d.device_id
    INNER JOIN spells AS s ON c.hour_us >= s.start_us AND c.hour_us < s.end_us
    ANTI JOIN closed_periods AS p ON c.hour_us >= p.from_us AND c.hour_us < p.to_us
    WHERE c.holder_id IS NOT NULL AND c.hour_us >= $from_us AND c.hour_us < $to_us
    GROUP BY c.holder_id, d.pool, c.owner_id, s.start_us
)

SELECT
    w.pool,
    w.start_us,
    h.cluster,
    h.kind,
    h.namespace,
    h.pod,
    h.slurm_account,
    h.slurm_partition,
    h.user_name,
    h.labels,
    h.workload_system,
    h.workload_name,
    h.team_claim,
    o.organisation,
    o.department,
    o.team,
    o.project,
    w.part_us::HUGEINT AS part_us,
    coalesce(w.cost_quanta, 0)::HUGEINT AS cost_quanta
FROM held AS w
INNER JOIN holders AS h ON w.holder_id = h.holder_id
LEFT JOIN owners AS o ON w.owner_id = o.owner_id
ORDER BY w.holder_id, w.pool, w.start_us, w.owner_id;

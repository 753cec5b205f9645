-- When devices that a scheduler's jobs held in a period were watched, whoever held them: stretches without a gap.
WITH held AS (
    SELECT DISTINCT u.device_id
    FROM usage AS u
    INNER JOIN holders AS h ON u.holder_id = h.holder_id
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE u.start_us >= $from_us AND u.start_us < $to_us AND h.slurm_job <> '' AND d.kind <> 'pool'
),

spans AS (
    SELECT DISTINCT
        d.cluster,
        d.node,
        d.device_key,
        u.start_us,
        u.end_us
    FROM usage AS u
    INNER JOIN held AS k ON u.device_id = k.device_id
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE u.start_us >= $from_us AND u.start_us < $to_us AND u.state <> 5
),

records AS (
    SELECT
        s.*,
        max(s.end_us) OVER (
            PARTITION BY s.cluster, s.node, s.device_key
            ORDER BY s.start_us, s.end_us
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS until_us
    FROM spans AS s
),

stretches AS (
    SELECT
        r.*,
        count(*) FILTER (WHERE r.until_us IS NULL OR r.start_us > r.until_us) OVER (
            PARTITION BY r.cluster, r.node, r.device_key
            ORDER BY r.start_us, r.end_us
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS stretch
    FROM records AS r
)

SELECT
    t.cluster,
    t.node,
    t.device_key AS device,
    min(t.start_us) AS start_us,
    max(t.end_us) AS end_us
FROM stretches AS t
GROUP BY t.cluster, t.node, t.device_key, t.stretch
ORDER BY t.cluster, t.node, t.device_key, start_us;

-- When jobs of a scheduler held devices in a period (whole hours: no record lies across its ends): stretches without a
-- gap, by job and device, and the share that the job had of each.
WITH jobs AS (
    SELECT
        h.holder_id,
        h.slurm_job AS job,
        h.slurm_account,
        coalesce(
            json_extract_string(h.labels, '$.slurm_array_job') || '_'
            || json_extract_string(h.labels, '$.slurm_array_task'), ''
        ) AS array_name
    FROM holders AS h
    WHERE h.slurm_job <> ''
),

records AS (
    SELECT
        j.job,
        u.device_id,
        u.start_us,
        u.end_us,
        u.held_us,
        max(j.slurm_account) OVER (PARTITION BY j.job, u.device_id) AS slurm_account,
        max(j.array_name) OVER (PARTITION BY j.job, u.device_id) AS array_name,
        max(u.end_us) OVER (
            PARTITION BY j.job, u.device_id
            ORDER BY u.start_us, u.end_us
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS until_us
    FROM usage AS u
    INNER JOIN jobs AS j ON u.holder_id = j.holder_id
    WHERE u.start_us >= $from_us AND u.start_us < $to_us AND u.held_us > 0
),

stretches AS (
    SELECT
        r.*,
        count(*) FILTER (WHERE r.until_us IS NULL OR r.start_us > r.until_us) OVER (
            PARTITION BY r.job, r.device_id
            ORDER BY r.start_us, r.end_us
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS stretch
    FROM records AS r
)

SELECT
    d.cluster,
    s.job,
    d.node,
    d.device_key AS device,
    d.kind = 'pool' AS pool,
    max(s.slurm_account) AS slurm_account,
    max(s.array_name) AS array_name,
    min(s.start_us) AS start_us,
    max(s.end_us) AS end_us,
    sum(s.held_us)::BIGINT AS held_us
FROM stretches AS s
INNER JOIN devices AS d ON s.device_id = d.device_id
GROUP BY d.cluster, s.job, d.node, d.device_key, d.kind, s.device_id, s.stretch
ORDER BY d.cluster, s.job, d.node, d.device_key, start_us;

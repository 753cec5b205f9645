-- Stages that quotas reached.
SELECT
    c.quota,
    c.period,
    c.stage
FROM quota_crossings AS c
ORDER BY c.crossing_id;

-- The hours of a pass are rated.
DELETE FROM dirty_hours
WHERE (cluster, hour_us) IN (
    SELECT
        p.cluster,
        p.hour_us
    FROM rate_pass AS p
);

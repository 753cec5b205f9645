-- import_pool_hours
-- How much of the given pools jobs hold already, by hour.
SELECT
    d.cluster,
    d.device_key,
    h.hour_us,
    sum(h.held_us)::BIGINT AS held_us
FROM usage_hourly AS h
INNER JOIN devices AS d ON h.device_id = d.device_id
SEMI JOIN wanted_pools AS wanted ON d.cluster = wanted.cluster AND d.device_key = wanted.device_key
WHERE h.hour_us BETWEEN $first_hour_us AND $last_hour_us
GROUP BY ALL

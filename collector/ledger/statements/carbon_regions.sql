-- Regions whose carbon intensity is known: from when until when, for how many hours, and between which values.
SELECT
    k.region,
    count(*) AS hours,
    min(k.hour_us) AS from_us,
    max(k.hour_us) + 3600000000 AS to_us,
    min(k.g_per_kwh) AS least_g_per_kwh,
    max(k.g_per_kwh) AS most_g_per_kwh,
    round(avg(k.g_per_kwh), 6)::DECIMAL(18, 6) AS mean_g_per_kwh
FROM carbon_known AS k
GROUP BY k.region
ORDER BY k.region;

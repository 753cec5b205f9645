-- A closed bill keeps the carbon that was known when it was closed, like its prices: what is imported later counts
-- in open periods only, so that its export stays the same for ever.
CREATE OR REPLACE VIEW carbon_known AS
SELECT
    h.region,
    h.hour_us,
    arg_max(h.g_per_kwh, h.carbon_version) AS g_per_kwh
FROM carbon_hours AS h
INNER JOIN carbon_imports AS i ON h.carbon_version = i.carbon_version
LEFT JOIN closed_periods AS p ON h.hour_us >= p.from_us AND h.hour_us < p.to_us
WHERE p.closed_us IS NULL OR i.imported_us <= p.closed_us
GROUP BY h.region, h.hour_us;

-- The hours of a new import of carbon intensities.
INSERT INTO carbon_hours
SELECT
    $carbon_version,
    n.region,
    n.hour_us,
    n.g_per_kwh
FROM new_hours AS n;

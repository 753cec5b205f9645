-- The entries of one price book in its order.
SELECT
    e.entry,
    e.cluster,
    e.pool,
    e.model,
    e.mig_profile,
    e.rate_quanta,
    e.carbon_g_per_kwh,
    e.from_us,
    e.to_us
FROM price_entries AS e
WHERE e.price_version = $price_version
ORDER BY e.entry;

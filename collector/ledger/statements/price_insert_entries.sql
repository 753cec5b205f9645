-- The entries of a new version of the price book.
INSERT INTO price_entries
SELECT
    $price_version,
    n.entry,
    n.cluster,
    n.pool,
    n.model,
    n.mig_profile,
    n.rate_quanta,
    n.carbon_g_per_kwh,
    n.from_us,
    n.to_us
FROM new_entries AS n;

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
    n.to_us,
    n.list_rate_quanta,
    n.stated_rate,
    n.capital_cost,
    n.depreciation_months,
    n.energy_price_per_kwh,
    n.pue,
    n.power_w,
    n.overhead_per_hour,
    n.overhead_percent,
    n.discount_percent,
    n.currency,
    n.exchange_rate,
    n.exchange_source,
    n.exchange_date,
    n.carbon_region
FROM new_entries AS n;

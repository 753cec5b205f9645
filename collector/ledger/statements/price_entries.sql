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
    e.to_us,
    e.list_rate_quanta,
    e.stated_rate,
    e.capital_cost,
    e.depreciation_months,
    e.energy_price_per_kwh,
    e.pue,
    e.power_w,
    e.overhead_per_hour,
    e.overhead_percent,
    e.discount_percent,
    e.currency,
    e.exchange_rate,
    e.exchange_source,
    e.exchange_date,
    e.carbon_region,
    e.organisation,
    e.department,
    e.team,
    e.project,
    e.contract
FROM price_entries AS e
WHERE e.price_version = $price_version
ORDER BY e.entry;

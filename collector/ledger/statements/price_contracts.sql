-- The contracts of one price book in its order.
SELECT
    c.place,
    c.name,
    c.vendor,
    c.cluster,
    c.pool,
    c.model,
    c.mig_profile,
    c.node,
    c.gpus,
    c.rate_quanta,
    c.list_rate_quanta,
    c.stated_rate,
    c.discount_percent,
    c.currency,
    c.exchange_rate,
    c.exchange_source,
    c.exchange_date,
    c.from_us,
    c.to_us
FROM contracts AS c
WHERE c.price_version = $price_version
ORDER BY c.place;

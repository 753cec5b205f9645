-- The contracts of a new version of the price book.
INSERT INTO contracts
SELECT
    $price_version,
    n.place,
    n.name,
    n.vendor,
    n.cluster,
    n.pool,
    n.model,
    n.mig_profile,
    n.node,
    n.gpus,
    n.rate_quanta,
    n.list_rate_quanta,
    n.stated_rate,
    n.discount_percent,
    n.currency,
    n.exchange_rate,
    n.exchange_source,
    n.exchange_date,
    n.from_us,
    n.to_us
FROM new_contracts AS n;

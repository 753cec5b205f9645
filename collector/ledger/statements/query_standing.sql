-- What every answer about money says of the ledger.
SELECT
    (
        SELECT arg_max(b.currency, b.price_version)
        FROM price_books AS b
    ) AS currency,
    (
        SELECT max(b.until_us)
        FROM batches AS b
    ) AS known_until_us,
    (
        SELECT count(DISTINCT (d.cluster, d.hour_us))
        FROM dirty_hours AS d
        WHERE d.hour_us >= $from_us AND d.hour_us < $to_us
    ) AS pending_hours;

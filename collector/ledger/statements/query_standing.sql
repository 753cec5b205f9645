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
        SELECT count(*)
        FROM pending_hours AS p
        WHERE p.hour_us >= $from_us AND p.hour_us < $to_us
    ) AS pending_hours;

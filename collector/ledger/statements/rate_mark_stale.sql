-- Hours of a period whose charges were rated with older versions than these: at the same rates, for the same owners.
INSERT INTO dirty_hours
SELECT
    d.cluster,
    c.hour_us
FROM charges AS c
INNER JOIN devices AS d ON c.device_id = d.device_id
WHERE
    c.hour_us >= $from_us AND c.hour_us < $to_us
    AND (
        c.owner_version IS DISTINCT FROM $newest_owners
        OR (c.price_entry IS NOT NULL AND c.price_version IS DISTINCT FROM $newest_prices)
    )
EXCEPT
SELECT
    h.cluster,
    h.hour_us
FROM dirty_hours AS h;

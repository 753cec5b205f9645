-- Which rates charges of a period carry, by what their device is priced as and the price entry that they pin.
SELECT
    k.asked,
    c.price_version,
    c.price_entry,
    c.rate_quanta
FROM current_charges AS c
INNER JOIN proof_asked AS k ON c.device_id = k.device_id
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us
GROUP BY ALL
ORDER BY ALL;

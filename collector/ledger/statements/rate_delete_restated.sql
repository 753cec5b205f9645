-- Restatements that the hours to be rated replace.
DELETE FROM restated_charges
WHERE
    hour_us BETWEEN $first_hour_us AND $last_hour_us
    AND (hour_us, device_id) IN (
        SELECT
            p.hour_us,
            d.device_id
        FROM rate_pass AS p
        INNER JOIN devices AS d ON p.cluster = d.cluster
    );

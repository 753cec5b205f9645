-- The hours that a dispute is about.
SELECT
    count(*) AS charge_count,
    min(k.hour_us) AS from_us,
    max(k.hour_us) + 3600000000 AS to_us
FROM disputed_charges AS k
WHERE k.dispute_id = $dispute_id;

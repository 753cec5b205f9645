-- Device-hours with charges at the price of another owner, or of a contract that does not cover the device then.
-- Waiting hours are left out. proof_covered says which device each contract of a pinned price book covers, and when.
WITH chosen AS (
    SELECT
        c.hour_us,
        c.device_id,
        c.owner_id,
        c.price_version,
        c.price_entry,
        c.hour_us + c.offset_us AS begin_us
    FROM current_charges AS c
    WHERE c.hour_us >= $from_us AND c.hour_us < $to_us AND c.price_entry IS NOT NULL
),

scoped AS (
    SELECT e.*
    FROM price_entries AS e
    WHERE concat(e.organisation, e.department, e.team, e.project, e.contract) <> ''
)

SELECT
    c.hour_us,
    c.device_id,
    c.price_entry,
    count(*) AS charge_count
FROM chosen AS c
INNER JOIN scoped AS e ON c.price_version = e.price_version AND c.price_entry = e.entry
INNER JOIN devices AS d ON c.device_id = d.device_id
LEFT JOIN owners AS o ON c.owner_id = o.owner_id
LEFT JOIN proof_covered AS v
    ON
        c.device_id = v.device_id
        AND c.price_version = v.price_version
        AND e.contract = v.contract
        AND c.begin_us >= v.from_us
        AND c.begin_us < v.to_us
ANTI JOIN proof_waiting AS w ON d.cluster = w.cluster AND c.hour_us = w.hour_us
WHERE
    e.organisation NOT IN ('', coalesce(o.organisation, ''))
    OR e.department NOT IN ('', coalesce(o.department, ''))
    OR e.team NOT IN ('', coalesce(o.team, ''))
    OR e.project NOT IN ('', coalesce(o.project, ''))
    OR (e.contract <> '' AND v.device_id IS NULL)
GROUP BY c.hour_us, c.device_id, c.price_entry
ORDER BY c.hour_us, c.device_id, c.price_entry;

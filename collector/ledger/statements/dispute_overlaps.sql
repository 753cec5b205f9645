-- Other disputes of the same owner about something that this one is about, and that were not rejected or withdrawn.
WITH mine AS (
    SELECT
        k.hour_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id
    FROM disputed_charges AS k
    WHERE k.dispute_id = $dispute_id
),

live AS (
    SELECT s.*
    FROM dispute_states AS s
    WHERE s.dispute_id <> $dispute_id AND s.ended <> 'withdrawn' AND s.decision <> 'rejected'
)

SELECT v.dispute_id
FROM live AS v
INNER JOIN disputes AS d
    ON
        d.dispute_id = $dispute_id
        AND v.organisation = d.organisation
        AND v.department = d.department
        AND v.team = d.team
WHERE
    (d.fixed_quanta IS NOT NULL AND v.invoice_number = d.invoice_number AND v.line = d.line)
    OR EXISTS (
        SELECT 1
        FROM disputed_charges AS k
        INNER JOIN mine AS m
            ON
                k.hour_us = m.hour_us
                AND k.device_id = m.device_id
                AND k.holder_id IS NOT DISTINCT FROM m.holder_id
                AND k.state = m.state
                AND k.reason_id = m.reason_id
        WHERE k.dispute_id = v.dispute_id
    )
ORDER BY v.dispute_id;

-- Adjustments that somebody entered, with the closed period whose bill has them, or who withdrew them.
WITH posted AS (
    SELECT
        a.reference,
        any_value(p.label) AS billed_on
    FROM adjustments AS a
    INNER JOIN closed_periods AS p ON a.period_id = p.period_id
    WHERE a.kind = 'manual'
    GROUP BY a.reference
)

SELECT
    m.manual_id,
    m.reference,
    m.entered_us,
    m.entered_by,
    m.why,
    m.from_us,
    m.to_us,
    w.at_us AS withdrawn_us,
    coalesce(w.withdrawn_by, '') AS withdrawn_by,
    coalesce(w.why, '') AS withdrawn_why,
    coalesce(p.billed_on, '') AS billed_on
FROM manual_adjustments AS m
LEFT JOIN manual_withdrawals AS w ON m.manual_id = w.manual_id
LEFT JOIN posted AS p ON m.reference = p.reference
ORDER BY m.manual_id;

-- Adjustments on closed bills that are about the time, the owner and the GPU of one charge.
WITH wanted AS (
    SELECT
        d.model,
        d.mig_profile
    FROM devices AS d
    WHERE d.device_key = $device AND d.cluster = $cluster AND d.node = $node
)

SELECT
    p.label,
    a.kind,
    a.because,
    a.reference,
    a.cost_quanta
FROM adjustments AS a
INNER JOIN closed_periods AS p ON a.period_id = p.period_id
WHERE
    a.from_us <= $hour_us
    AND a.to_us > $hour_us
    AND a.kind <> 'dispute'
    AND a.organisation = $organisation
    AND a.department = $department
    AND a.team = $team
    AND a.state IN (0, $state)
    AND (a.model = '' OR EXISTS (
        SELECT 1
        FROM wanted AS w
        WHERE a.model = w.model AND a.mig_profile IN ('', w.mig_profile)
    ))
ORDER BY a.period_id, a.adjustment;

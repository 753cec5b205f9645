-- The adjustments on the bill of a closed period, in their order.
SELECT
    a.kind,
    a.because,
    a.reference,
    a.from_us,
    a.to_us,
    a.cost_quanta,
    a.organisation,
    a.department,
    a.team,
    a.project,
    a.model,
    a.mig_profile,
    a.state,
    a.part_us,
    a.corrects
FROM adjustments AS a
WHERE a.period_id = $period_id
ORDER BY a.adjustment;

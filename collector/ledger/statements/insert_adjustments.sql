INSERT INTO adjustments BY NAME
SELECT
    n.adjustment,
    n.kind,
    n.because,
    n.reference,
    n.corrects,
    n.from_us,
    n.to_us,
    n.organisation,
    n.department,
    n.team,
    n.project,
    n.model,
    n.mig_profile,
    n.state,
    n.part_us,
    n.cost_quanta,
    $period_id::INTEGER AS period_id
FROM new_adjustments AS n

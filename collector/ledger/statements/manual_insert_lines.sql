INSERT INTO manual_lines BY NAME
SELECT
    n.line,
    n.because,
    n.organisation,
    n.department,
    n.team,
    n.project,
    n.model,
    n.mig_profile,
    n.state,
    n.part_us,
    n.cost_quanta,
    $manual_id::INTEGER AS manual_id
FROM new_manual_lines AS n;

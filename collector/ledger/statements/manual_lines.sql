-- The lines of adjustments that somebody entered.
SELECT
    l.manual_id,
    l.line,
    l.because,
    l.organisation,
    l.department,
    l.team,
    l.project,
    l.model,
    l.mig_profile,
    l.state,
    l.part_us,
    l.cost_quanta
FROM manual_lines AS l
ORDER BY l.manual_id, l.line;

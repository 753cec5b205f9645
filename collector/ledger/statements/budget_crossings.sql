-- Stages that budgets reached, in the order in which they were.
SELECT
    c.crossing_id,
    c.budget,
    c.period,
    c.stage,
    c.at_us,
    c.budget_version,
    c.owner,
    c.action,
    c.currency,
    c.measured_quanta,
    c.limit_quanta
FROM budget_crossings AS c
ORDER BY c.crossing_id;

-- What disputes gave back so far to the owner who disputes, by what a line of a bill is about.
SELECT
    d.dispute_id,
    a.project,
    a.model,
    a.mig_profile,
    a.state,
    -sum(a.cost_quanta)::BIGINT AS cost_quanta,
    string_agg(DISTINCT p.label, ', ' ORDER BY p.label) AS labels
FROM adjustments AS a
INNER JOIN disputes AS d
    ON
        a.kind = 'dispute'
        AND a.reference = concat('dispute ', d.dispute_id)
        AND a.organisation = d.organisation
        AND a.department = d.department
        AND a.team = d.team
INNER JOIN closed_periods AS p ON a.period_id = p.period_id
GROUP BY d.dispute_id, a.project, a.model, a.mig_profile, a.state
ORDER BY ALL;

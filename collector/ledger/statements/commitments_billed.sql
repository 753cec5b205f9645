-- What bills have for GPUs that contracts commit and that were not there, by the closed period that it is for.
SELECT
    a.reference,
    coalesce(nullif(a.corrects, ''), p.label) AS billed_for,
    sum(a.cost_quanta)::BIGINT AS cost_quanta
FROM adjustments AS a
INNER JOIN closed_periods AS p ON a.period_id = p.period_id
WHERE a.kind = 'commitment'
GROUP BY coalesce(nullif(a.corrects, ''), p.label), a.reference;

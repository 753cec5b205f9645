-- The number of the next decision: they have no gaps.
SELECT coalesce(max(d.decision_id), 0) + 1 AS decision_id
FROM rule_decisions AS d;

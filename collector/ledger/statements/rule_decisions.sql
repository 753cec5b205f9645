-- Decisions of the rules from an instant on, the newest first: one, or all (decision_id 0).
SELECT
    d.decision_id,
    d.at_us,
    d.kind,
    d.subject,
    d.rules_version,
    d.facts,
    d.action,
    d.rule,
    d.shadow_action,
    d.shadow_rule
FROM rule_decisions AS d
WHERE $decision_id IN (0, d.decision_id) AND d.at_us >= $from_us AND d.at_us < $to_us
ORDER BY d.decision_id DESC
LIMIT $max_rows;

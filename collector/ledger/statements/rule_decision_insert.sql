-- A decision of the rules.
INSERT INTO rule_decisions (
    decision_id, at_us, kind, subject, rules_version, facts, action, rule, shadow_action, shadow_rule
) VALUES (
    $decision_id,
    $at_us,
    $kind,
    $subject,
    $rules_version,
    $facts,
    $action,
    $rule,
    $shadow_action,
    $shadow_rule
);

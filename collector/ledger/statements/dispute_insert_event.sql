INSERT INTO dispute_events (
    dispute_id, event, what, at_us, by_whom, why, same_person, decision, amount_quanta, percent, to_organisation,
    to_department, to_team
) VALUES (
    $dispute_id,
    $event,
    $what,
    $at_us,
    $by_whom,
    $why,
    $same_person,
    $decision,
    $amount_quanta,
    $percent,
    $to_organisation,
    $to_department,
    $to_team
);

-- What happened to a dispute, in order.
SELECT
    e.dispute_id,
    e.event,
    e.what,
    e.at_us,
    e.by_whom,
    e.why,
    e.same_person,
    e.decision,
    e.amount_quanta,
    e.percent,
    e.to_organisation,
    e.to_department,
    e.to_team
FROM dispute_events AS e
WHERE e.dispute_id = $dispute_id
ORDER BY e.event;

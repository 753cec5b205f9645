-- What happened to a dispute, in order.
SELECT e.*
FROM dispute_events AS e
WHERE e.dispute_id = $dispute_id
ORDER BY e.event;

-- Events of the audit log, the newest first; an empty act or actor is any, and an act after a minus is any but it.
SELECT
    a.sequence,
    a.at_us,
    a.act,
    a.actor,
    a.subject,
    a.entry
FROM audit_events AS a
WHERE
    a.at_us >= $from_us
    AND a.at_us < $to_us
    AND ($act IN ('', a.act) OR (starts_with($act, '-') AND a.act != substr($act, 2)))
    AND $actor IN ('', a.actor)
ORDER BY a.sequence DESC
LIMIT $max_rows;

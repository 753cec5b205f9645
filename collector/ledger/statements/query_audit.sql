-- Events of the audit log, the newest first; an empty act or actor is any, an act after a minus any but it. Who did
-- what is read from the entry, which the chain proves, and not from the columns beside it.
SELECT
    a.sequence,
    a.entry
FROM audit_events AS a
WHERE
    a.at_us >= $from_us
    AND a.at_us < $to_us
    AND (
        $act IN ('', json_extract_string(a.entry, '$.act'))
        OR (starts_with($act, '-') AND json_extract_string(a.entry, '$.act') != substr($act, 2))
    )
    AND $actor IN ('', json_extract_string(a.entry, '$.actor'))
ORDER BY a.sequence DESC
LIMIT $max_rows;

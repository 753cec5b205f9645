-- What struck devices in a period, with the devices that it struck: a board's instances are as available as the board.
-- An XID of one instance is left out: which instance that is, is not known by name.
SELECT
    d.device_id,
    e.at_us,
    e.kind,
    e.details,
    d.device_key AS device
FROM events AS e
INNER JOIN devices AS d
    ON e.cluster = d.cluster AND (e.device_key = d.device_key OR e.device_key = d.board)
WHERE
    e.kind IN ('gpu_lost', 'xid')
    AND e.at_us >= $from_us AND e.at_us < $to_us
    AND coalesce(json_extract_string(e.details, '$.gpu_instance'), '') = ''
ORDER BY e.at_us, d.device_id, e.kind, e.details;

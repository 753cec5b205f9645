-- By which days the ledger is billed: nothing where nobody said so.
SELECT
    c.zone,
    c.grace_hours
FROM billing_calendars AS c
ORDER BY c.since_us DESC, c.rowid DESC
LIMIT 1;

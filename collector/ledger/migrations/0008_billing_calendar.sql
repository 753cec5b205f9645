-- By which days the ledger is billed, and how long it waits for late data; the newest row counts. A closed period keeps
-- the bounds and the zone that it was closed with, and the newest batch that its bill knows of.
CREATE TABLE billing_calendars (
    since_us BIGINT NOT NULL,
    zone VARCHAR NOT NULL,
    grace_hours INTEGER NOT NULL
);

ALTER TABLE closed_periods ADD COLUMN zone VARCHAR DEFAULT 'UTC';
ALTER TABLE closed_periods ADD COLUMN last_batch_id INTEGER DEFAULT 0;

UPDATE closed_periods
SET
    last_batch_id = (
        SELECT coalesce(max(b.batch_id), 0)
        FROM batches AS b
        WHERE b.received_us <= closed_periods.closed_us
    );

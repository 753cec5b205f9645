-- By which days the ledger is billed, and how long it waits for late data; the newest row counts. A closed period keeps
-- the bounds and the zone that it was closed with, and the newest batch that its bill knows of. Lines of invoices say
-- how much of their time has no price.
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

ALTER TABLE invoice_lines ADD COLUMN unpriced_part_us HUGEINT DEFAULT 0;

UPDATE invoice_lines
SET unpriced_part_us = u.unpriced_part_us
FROM (
    SELECT
        p.period_id,
        'charge' AS kind,
        '' AS corrects,
        d.model,
        d.mig_profile,
        c.state,
        coalesce(o.organisation, '') AS organisation,
        coalesce(o.department, '') AS department,
        coalesce(o.team, '') AS team,
        coalesce(o.project, '') AS project,
        sum(c.held_us * d.parts)::HUGEINT AS unpriced_part_us
    FROM charges AS c
    INNER JOIN closed_periods AS p ON c.hour_us >= p.from_us AND c.hour_us < p.to_us
    INNER JOIN devices AS d ON c.device_id = d.device_id
    LEFT JOIN owners AS o ON c.owner_id = o.owner_id
    WHERE c.price_entry IS NULL
    GROUP BY ALL
    UNION ALL
    SELECT
        k.period_id,
        'correction' AS kind,
        p.label AS corrects,
        d.model,
        d.mig_profile,
        k.state,
        coalesce(o.organisation, '') AS organisation,
        coalesce(o.department, '') AS department,
        coalesce(o.team, '') AS team,
        coalesce(o.project, '') AS project,
        sum(k.held_us * d.parts)::HUGEINT AS unpriced_part_us
    FROM corrections AS k
    INNER JOIN closed_periods AS p ON k.corrects_period_id = p.period_id
    INNER JOIN devices AS d ON k.device_id = d.device_id
    LEFT JOIN owners AS o ON k.owner_id = o.owner_id
    WHERE k.price_entry IS NULL
    GROUP BY ALL
) AS u
INNER JOIN invoices AS i
    ON
        u.period_id = i.period_id
        AND u.organisation = i.organisation
        AND u.department = i.department
        AND u.team = i.team
WHERE
    invoice_lines.invoice_number = i.invoice_number
    AND invoice_lines.kind = u.kind
    AND invoice_lines.corrects = u.corrects
    AND invoice_lines.project = u.project
    AND invoice_lines.model = u.model
    AND invoice_lines.mig_profile = u.mig_profile
    AND invoice_lines.state = u.state;

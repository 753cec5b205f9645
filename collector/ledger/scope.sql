-- A session that sees the rows of some owners only: temporary views stand before the tables of the same name, so that
-- every statement, and every view of the ledger, finds those in their place. scope_nodes has the owners that are seen
-- (an empty department or team: all below). Nothing here is ever written to the ledger.
--
-- A row is seen by its owner: charges and bills have one; usage, holders and devices are seen as far as seen charges
-- name them. What is nobody's, or everybody's (quarantine, the audit log, tokens, contracts of others), is not there.
-- Text that people wrote is left out where it names an owner who is not seen.

-- noqa: disable=AM04,CP03,RF02,RF03,RF04,LT05
-- A view stands for a whole table, whatever columns it gets; parameters of macros look like columns.
CREATE TEMP TABLE scope_owners AS
SELECT o.owner_id
FROM ledger.main.owners AS o
WHERE EXISTS (
    SELECT 1
    FROM scope_nodes AS n
    WHERE n.organisation IN ('', o.organisation) AND n.department IN ('', o.department) AND n.team IN ('', o.team)
);

CREATE TEMP TABLE scope_names AS
WITH owned AS (
    SELECT
        o.organisation,
        o.department,
        o.team,
        o.project
    FROM ledger.main.owners AS o
    UNION
    SELECT
        i.organisation,
        i.department,
        i.team,
        '' AS project
    FROM ledger.main.invoices AS i
    UNION
    SELECT
        a.organisation,
        a.department,
        a.team,
        a.project
    FROM ledger.main.adjustments AS a
    UNION
    SELECT
        m.organisation,
        m.department,
        m.team,
        m.project
    FROM ledger.main.manual_lines AS m
    UNION
    SELECT
        s.organisation,
        s.department,
        s.team,
        '' AS project
    FROM ledger.main.share_entries AS s
    UNION
    SELECT
        p.organisation,
        p.department,
        p.team,
        p.project
    FROM ledger.main.price_entries AS p
    UNION
    SELECT
        q.organisation,
        q.department,
        q.team,
        '' AS project
    FROM ledger.main.policy_entries AS q
    UNION
    SELECT
        r.organisation,
        r.department,
        r.team,
        r.project
    FROM ledger.main.owner_rules AS r
    UNION
    SELECT
        '' AS organisation,
        d.department,
        d.team,
        '' AS project
    FROM ledger.main.directory_entries AS d
    UNION
    SELECT
        e.to_organisation,
        e.to_department,
        e.to_team,
        '' AS project
    FROM ledger.main.dispute_events AS e
),

seen AS (
    SELECT
        o.*,
        EXISTS(
            SELECT 1
            FROM scope_nodes AS n
            WHERE
                n.organisation IN ('', o.organisation)
                AND n.department IN ('', o.department)
                AND n.team IN ('', o.team)
        ) AS mine
    FROM owned AS o
),

named AS (
    SELECT
        unnest([s.organisation, s.department, s.team, s.project]) AS name,
        s.mine
    FROM seen AS s
    UNION ALL
    SELECT
        unnest([n.organisation, n.department, n.team]) AS name,
        TRUE AS mine
    FROM scope_nodes AS n
)

SELECT n.name
FROM named AS n
WHERE n.name <> ''
GROUP BY n.name
HAVING NOT bool_or(n.mine);

CREATE TEMP MACRO names_others(said) AS (
    SELECT count(*) > 0 FROM scope_names AS s
    WHERE contains(lower(said), lower(s.name))
);

CREATE TEMP MACRO told(said) AS CASE WHEN names_others(said) THEN '(about others, too)' ELSE said END;

CREATE TEMP MACRO is_seen(first, second, third) AS (
    SELECT count(*) > 0
    FROM scope_nodes AS n
    WHERE n.organisation IN ('', first) AND n.department IN ('', second) AND n.team IN ('', third)
);

-- What has an owner.
CREATE TEMP VIEW owners AS
SELECT o.* FROM ledger.main.owners AS o
WHERE o.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);
CREATE TEMP VIEW charges AS
SELECT c.* FROM ledger.main.charges AS c
WHERE c.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);
CREATE TEMP VIEW charge_days AS
SELECT c.* FROM ledger.main.charge_days AS c
WHERE c.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);
CREATE TEMP VIEW restated_charges AS
SELECT c.* FROM ledger.main.restated_charges AS c
WHERE c.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);
CREATE TEMP VIEW corrections AS
SELECT c.* FROM ledger.main.corrections AS c
WHERE c.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);
CREATE TEMP VIEW late_prices AS
SELECT c.* FROM ledger.main.late_prices AS c
WHERE c.owner_id IN (SELECT s.owner_id FROM scope_owners AS s);

-- What seen charges name. held_by_seen is by hour, so that what a holder did for another owner is not there.
CREATE TEMP VIEW held_by_seen AS
SELECT
    c.hour_us,
    c.device_id,
    c.holder_id
FROM charges AS c
UNION
SELECT
    c.hour_us,
    c.device_id,
    c.holder_id
FROM restated_charges AS c
UNION
SELECT
    c.hour_us,
    c.device_id,
    c.holder_id
FROM corrections AS c;
CREATE TEMP TABLE scope_held AS
SELECT DISTINCT
    s.device_id,
    s.holder_id
FROM held_by_seen AS s;
CREATE TEMP VIEW devices AS
SELECT d.* FROM ledger.main.devices AS d
WHERE d.device_id IN (SELECT s.device_id FROM scope_held AS s);
CREATE TEMP VIEW device_lives AS
SELECT l.* FROM ledger.main.device_lives AS l
WHERE l.device_id IN (SELECT s.device_id FROM scope_held AS s);
CREATE TEMP VIEW rated_lives AS
SELECT l.* FROM ledger.main.rated_lives AS l
WHERE l.device_id IN (SELECT s.device_id FROM scope_held AS s);
CREATE TEMP VIEW holders AS
SELECT h.* FROM ledger.main.holders AS h
WHERE h.holder_id IN (SELECT s.holder_id FROM scope_held AS s);
CREATE TEMP VIEW usage AS
SELECT u.*
FROM ledger.main.usage AS u
SEMI JOIN held_by_seen AS s
    ON
        u.start_us - u.start_us % 3600000000 = s.hour_us
        AND u.device_id = s.device_id
        AND u.holder_id = s.holder_id;
CREATE TEMP VIEW usage_hourly AS
SELECT u.*
FROM ledger.main.usage_hourly AS u
SEMI JOIN held_by_seen AS s ON u.hour_us = s.hour_us AND u.device_id = s.device_id AND u.holder_id = s.holder_id;
CREATE TEMP VIEW events AS
SELECT
    e.* REPLACE (
        CASE WHEN e.kind = 'holder_conflict' OR names_others(e.message) THEN e.kind ELSE e.message END AS message,
        CASE WHEN e.kind = 'holder_conflict' OR names_others(e.details) THEN '{}' ELSE e.details END AS details
    )
FROM ledger.main.events AS e
SEMI JOIN holders AS h ON e.cluster = h.cluster AND e.holder_key = h.holder_key;

-- How far the ledger is known: batches of nodes that have seen devices, and the newest of each cluster as a time only.
CREATE TEMP VIEW batches AS
WITH seen AS (
    SELECT
        u.batch_id,
        count(*)::integer AS usage_rows
    FROM usage AS u
    GROUP BY u.batch_id
)

SELECT b.* REPLACE (seen.usage_rows AS usage_rows)
FROM ledger.main.batches AS b
LEFT JOIN seen ON b.batch_id = seen.batch_id
SEMI JOIN devices AS d ON b.cluster = d.cluster AND b.node = d.node
UNION ALL
SELECT
    NULL AS batch_id,
    '' AS agent,
    '' AS boot,
    0 AS sequence,
    b.cluster,
    '' AS node,
    ''::blob AS digest,
    0 AS usage_rows,
    max(b.until_us) AS from_us,
    max(b.until_us) AS until_us,
    max(b.until_us) AS sealed_at_us,
    max(b.received_us) AS received_us,
    '' AS software
FROM ledger.main.batches AS b
WHERE b.cluster IN (SELECT d.cluster FROM devices AS d)
GROUP BY b.cluster;
CREATE TEMP VIEW dirty_hours AS
SELECT h.* FROM ledger.main.dirty_hours AS h
WHERE h.cluster IN (SELECT d.cluster FROM devices AS d);
CREATE TEMP VIEW restated_hours AS
SELECT h.* FROM ledger.main.restated_hours AS h
WHERE h.cluster IN (SELECT d.cluster FROM devices AS d);

-- Bills.
CREATE TEMP VIEW invoices AS
SELECT i.* FROM ledger.main.invoices AS i
WHERE is_seen(i.organisation, i.department, i.team);
CREATE TEMP VIEW invoice_lines AS
SELECT l.* REPLACE (told(l.because) AS because)
FROM ledger.main.invoice_lines AS l
WHERE l.invoice_number IN (SELECT i.invoice_number FROM invoices AS i);
CREATE TEMP VIEW adjustments AS
SELECT a.* REPLACE (told(a.because) AS because, told(a.reference) AS reference)
FROM ledger.main.adjustments AS a
WHERE is_seen(a.organisation, a.department, a.team);
CREATE TEMP VIEW closed_periods AS
WITH charged AS (
    SELECT
        p.period_id,
        count(*) AS charge_count,
        sum(coalesce(c.cost_quanta, 0))::bigint AS charge_quanta,
        sum(c.held_us * d.parts) FILTER (WHERE c.price_entry IS NULL)::hugeint AS unpriced_part_us,
        sum(c.held_us * d.parts) FILTER (WHERE c.state = 5)::hugeint AS unobserved_part_us
    FROM charges AS c
    INNER JOIN ledger.main.closed_periods AS p ON c.hour_us >= p.from_us AND c.hour_us < p.to_us
    INNER JOIN ledger.main.devices AS d ON c.device_id = d.device_id
    GROUP BY p.period_id
),

corrected AS (
    SELECT
        k.period_id,
        count(*) AS correction_count,
        sum(k.cost_quanta)::bigint AS correction_quanta
    FROM corrections AS k
    GROUP BY k.period_id
),

adjusted AS (
    SELECT
        a.period_id,
        count(*) AS adjustment_count,
        sum(a.cost_quanta)::bigint AS adjustment_quanta
    FROM adjustments AS a
    GROUP BY a.period_id
)

SELECT
    p.* REPLACE (
        told(p.closed_by) AS closed_by,
        told(p.exception) AS exception,
        coalesce(c.charge_count, 0) AS charge_count,
        coalesce(c.charge_quanta, 0) AS charge_quanta,
        coalesce(c.unpriced_part_us, 0) AS unpriced_part_us,
        coalesce(c.unobserved_part_us, 0) AS unobserved_part_us,
        coalesce(k.correction_count, 0) AS correction_count,
        coalesce(k.correction_quanta, 0) AS correction_quanta,
        coalesce(a.adjustment_count, 0) AS adjustment_count,
        coalesce(a.adjustment_quanta, 0) AS adjustment_quanta
    )
FROM ledger.main.closed_periods AS p
LEFT JOIN charged AS c ON p.period_id = c.period_id
LEFT JOIN corrected AS k ON p.period_id = k.period_id
LEFT JOIN adjusted AS a ON p.period_id = a.period_id;

-- What people did about them.
CREATE TEMP VIEW disputes AS
SELECT d.* FROM ledger.main.disputes AS d
WHERE is_seen(d.organisation, d.department, d.team);
CREATE TEMP VIEW disputed_charges AS
SELECT c.* FROM ledger.main.disputed_charges AS c
WHERE c.dispute_id IN (SELECT d.dispute_id FROM disputes AS d);
CREATE TEMP VIEW dispute_events AS
SELECT
    e.* REPLACE (
        told(e.by_whom) AS by_whom,
        told(e.why) AS why,
        told(e.same_person) AS same_person,
        CASE WHEN s.here THEN e.to_organisation ELSE '' END AS to_organisation,
        CASE WHEN s.here THEN e.to_department ELSE '' END AS to_department,
        CASE WHEN s.here THEN e.to_team ELSE '(another owner)' END AS to_team
    )
FROM (
    SELECT
        a.*,
        a.to_organisation || a.to_department || a.to_team = ''
        OR is_seen(a.to_organisation, a.to_department, a.to_team) AS here
    FROM ledger.main.dispute_events AS a
    WHERE a.dispute_id IN (SELECT d.dispute_id FROM disputes AS d)
) AS s
INNER JOIN ledger.main.dispute_events AS e ON s.dispute_id = e.dispute_id AND s.event = e.event;
CREATE TEMP VIEW manual_lines AS
SELECT l.* REPLACE (told(l.because) AS because)
FROM ledger.main.manual_lines AS l
WHERE is_seen(l.organisation, l.department, l.team);
CREATE TEMP VIEW manual_adjustments AS
SELECT m.* REPLACE (told(m.why) AS why, told(m.entered_by) AS entered_by)
FROM ledger.main.manual_adjustments AS m
WHERE m.manual_id IN (SELECT l.manual_id FROM manual_lines AS l);
CREATE TEMP VIEW manual_withdrawals AS
SELECT m.* REPLACE (told(m.why) AS why, told(m.withdrawn_by) AS withdrawn_by)
FROM ledger.main.manual_withdrawals AS m
WHERE m.manual_id IN (SELECT l.manual_id FROM manual_lines AS l);

-- What was asked for in words that name one owner: a price book, a bill's amount or a dispute may be about others.
CREATE TEMP VIEW approval_requests AS
SELECT r.* FROM ledger.main.approval_requests AS r
WHERE
    (r.kind IN ('budget', 'quota') OR (r.kind = 'exception' AND r.owner <> ''))
    AND EXISTS (
        SELECT 1 FROM scope_nodes AS n
        WHERE starts_with(r.owner || '/', concat_ws('/', nullif(n.organisation, ''), nullif(n.department, ''), nullif(n.team, '')) || '/')
    );
CREATE TEMP VIEW approval_steps AS
SELECT s.* REPLACE (told(s.by_whom) AS by_whom, told(s.why) AS why)
FROM ledger.main.approval_steps AS s
WHERE s.approval_id IN (SELECT r.approval_id FROM approval_requests AS r);

-- Books. Rows keep their place, since charges name them by it: those of others say nothing, and match nothing.
CREATE TEMP VIEW price_books AS
SELECT b.* REPLACE ('' AS content, told(b.source) AS source) FROM ledger.main.price_books AS b;
CREATE TEMP VIEW price_entries AS
WITH judged AS (
    SELECT
        e.*,
        (
            e.organisation || e.department || e.team || e.project = ''
            OR (
                is_seen(e.organisation, e.department, e.team)
                AND NOT names_others(e.project)
            )
        )
        AND (
            e.contract = ''
            OR EXISTS (
                SELECT 1 FROM charges AS c
                WHERE c.price_version = e.price_version AND c.price_entry = e.entry
            )
        ) AS seen
    FROM ledger.main.price_entries AS e
)

SELECT
    j.* EXCLUDE (j.seen) REPLACE (
        CASE WHEN j.seen THEN j.model ELSE '(not yours)' END AS model,
        CASE WHEN j.seen THEN j.pool ELSE j.entry::varchar END AS pool,
        CASE WHEN j.seen THEN j.cluster ELSE '' END AS cluster,
        CASE WHEN j.seen THEN j.mig_profile ELSE '' END AS mig_profile,
        CASE WHEN j.seen THEN j.organisation ELSE '' END AS organisation,
        CASE WHEN j.seen THEN j.department ELSE '' END AS department,
        CASE WHEN j.seen THEN j.team ELSE '' END AS team,
        CASE WHEN j.seen THEN j.project ELSE '' END AS project,
        CASE WHEN j.seen THEN j.contract ELSE '' END AS contract,
        CASE WHEN j.seen THEN j.exchange_source ELSE '' END AS exchange_source,
        CASE WHEN j.seen THEN j.rate_quanta ELSE 0 END AS rate_quanta
    )
FROM judged AS j;
CREATE TEMP VIEW contracts AS
SELECT c.*
FROM ledger.main.contracts AS c
SEMI JOIN price_entries AS e ON c.price_version = e.price_version AND c.name = e.contract;
CREATE TEMP VIEW owner_maps AS
SELECT m.* REPLACE ('' AS content, told(m.source) AS source) FROM ledger.main.owner_maps AS m;
CREATE TEMP VIEW owner_rules AS
WITH judged AS (
    SELECT
        r.*,
        (
            contains(r.organisation || r.department || r.team || r.project, '{')
            OR is_seen(r.organisation, r.department, r.team)
        )
        AND NOT names_others(r.organisation || '/' || r.department || '/' || r.team || '/' || r.project || r.matches)
            AS seen
    FROM ledger.main.owner_rules AS r
)

SELECT
    j.* EXCLUDE (j.seen) REPLACE (
        CASE WHEN j.seen THEN j.organisation ELSE '' END AS organisation,
        CASE WHEN j.seen THEN j.department ELSE '' END AS department,
        CASE WHEN j.seen THEN j.team ELSE '(another owner)' END AS team,
        CASE WHEN j.seen THEN j.project ELSE '' END AS project,
        CASE WHEN j.seen THEN j.matches ELSE '[["kind","(none)"]]' END AS matches
    )
FROM judged AS j;
CREATE TEMP VIEW directories AS
SELECT d.* REPLACE ('' AS content, told(d.source) AS source) FROM ledger.main.directories AS d;
CREATE TEMP VIEW directory_entries AS
SELECT d.* FROM ledger.main.directory_entries AS d
WHERE NOT names_others(d.department || '/' || d.team);
CREATE TEMP VIEW share_books AS
SELECT b.* REPLACE ('' AS content, told(b.source) AS source) FROM ledger.main.share_books AS b;
CREATE TEMP VIEW share_entries AS
SELECT e.* FROM ledger.main.share_entries AS e
WHERE is_seen(e.organisation, e.department, e.team);
CREATE TEMP VIEW policy_books AS
SELECT b.* REPLACE ('' AS content, told(b.source) AS source) FROM ledger.main.policy_books AS b;
CREATE TEMP VIEW policy_entries AS
SELECT e.*
FROM ledger.main.policy_entries AS e
WHERE is_seen(e.organisation, e.department, e.team) AND NOT names_others(e.settings);

-- What is nobody's in particular.
CREATE TEMP VIEW quarantine AS SELECT q.* FROM ledger.main.quarantine AS q
WHERE FALSE;
CREATE TEMP VIEW board_energy AS SELECT b.* FROM ledger.main.board_energy AS b
WHERE FALSE;
CREATE TEMP VIEW board_conditions AS SELECT b.* FROM ledger.main.board_conditions AS b
WHERE FALSE;
CREATE TEMP VIEW imported_jobs AS SELECT j.* FROM ledger.main.imported_jobs AS j
WHERE FALSE;
CREATE TEMP VIEW audit_events AS SELECT a.* FROM ledger.main.audit_events AS a
WHERE FALSE;
CREATE TEMP VIEW audit_checkpoints AS SELECT a.* FROM ledger.main.audit_checkpoints AS a
WHERE FALSE;
CREATE TEMP VIEW rule_books AS
SELECT h.* FROM ledger.main.rule_books AS h
WHERE FALSE;
CREATE TEMP VIEW rule_decisions AS
SELECT h.* FROM ledger.main.rule_decisions AS h
WHERE FALSE;
CREATE TEMP VIEW admissions AS
SELECT h.* FROM ledger.main.admissions AS h
WHERE FALSE;
CREATE TEMP VIEW drift_runs AS
SELECT h.* FROM ledger.main.drift_runs AS h
WHERE FALSE;
CREATE TEMP VIEW advice AS
SELECT h.* FROM ledger.main.advice AS h
WHERE FALSE;
CREATE TEMP VIEW advice_results AS
SELECT h.* FROM ledger.main.advice_results AS h
WHERE FALSE;
CREATE TEMP VIEW drift_results AS
SELECT h.* FROM ledger.main.drift_results AS h
WHERE FALSE;
CREATE TEMP VIEW access_tokens AS SELECT a.* FROM ledger.main.access_tokens AS a
WHERE FALSE;
CREATE TEMP VIEW access_revocations AS SELECT a.* FROM ledger.main.access_revocations AS a
WHERE FALSE;
CREATE TEMP VIEW access_enrolments AS SELECT a.* FROM ledger.main.access_enrolments AS a
WHERE FALSE;
CREATE TEMP VIEW budget_books AS SELECT h.* FROM ledger.main.budget_books AS h
WHERE FALSE;
CREATE TEMP VIEW budget_crossings AS SELECT h.* FROM ledger.main.budget_crossings AS h
WHERE FALSE;
CREATE TEMP VIEW notices AS SELECT h.* FROM ledger.main.notices AS h
WHERE FALSE;
CREATE TEMP VIEW notice_steps AS SELECT h.* FROM ledger.main.notice_steps AS h
WHERE FALSE;
CREATE TEMP VIEW quota_books AS SELECT h.* FROM ledger.main.quota_books AS h
WHERE FALSE;
CREATE TEMP VIEW quota_crossings AS SELECT h.* FROM ledger.main.quota_crossings AS h
WHERE FALSE;

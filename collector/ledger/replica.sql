-- What a replica does not know: everything that came after the last of each kind that stands in `known`, and everything
-- that follows from facts, which is made again. Run on a copy of a ledger, never on the ledger itself.

-- Facts.
DELETE FROM quarantine
WHERE received_us > (SELECT k.at_us FROM known AS k);
DELETE FROM usage
WHERE batch_id > (SELECT k.batch_id FROM known AS k);
DELETE FROM board_energy
WHERE batch_id > (SELECT k.batch_id FROM known AS k);
DELETE FROM board_conditions
WHERE batch_id > (SELECT k.batch_id FROM known AS k);
DELETE FROM events
WHERE batch_id > (SELECT k.batch_id FROM known AS k);
DELETE FROM batches
WHERE batch_id > (SELECT k.batch_id FROM known AS k);

-- Devices that only later batches brought to life; those that no batch has used have no life either.
DELETE FROM devices
WHERE
    device_id IN (SELECT l.device_id FROM device_lives AS l)
    AND device_id NOT IN (SELECT u.device_id FROM usage AS u);

-- Books.
DELETE FROM contracts
WHERE price_version > (SELECT k.price_version FROM known AS k);
DELETE FROM price_entries
WHERE price_version > (SELECT k.price_version FROM known AS k);
DELETE FROM price_books
WHERE price_version > (SELECT k.price_version FROM known AS k);
DELETE FROM owner_rules
WHERE owner_version > (SELECT k.owner_version FROM known AS k);
DELETE FROM owner_maps
WHERE owner_version > (SELECT k.owner_version FROM known AS k);
DELETE FROM directory_entries
WHERE directory_version > (SELECT k.directory_version FROM known AS k);
DELETE FROM directories
WHERE directory_version > (SELECT k.directory_version FROM known AS k);
DELETE FROM carbon_hours
WHERE carbon_version > (SELECT k.carbon_version FROM known AS k);
DELETE FROM carbon_imports
WHERE carbon_version > (SELECT k.carbon_version FROM known AS k);
DELETE FROM share_entries
WHERE share_version > (SELECT k.share_version FROM known AS k);
DELETE FROM share_books
WHERE share_version > (SELECT k.share_version FROM known AS k);
DELETE FROM policy_entries
WHERE policy_version > (SELECT k.policy_version FROM known AS k);
DELETE FROM policy_books
WHERE policy_version > (SELECT k.policy_version FROM known AS k);
DELETE FROM billing_calendars
WHERE since_us > (SELECT k.at_us FROM known AS k);

-- Rules, and what was asked for and decided by them.
DELETE FROM rule_books
WHERE imported_us > (SELECT k.at_us FROM known AS k);
DELETE FROM rule_decisions
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM approval_steps
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM approval_requests
WHERE approval_id NOT IN (SELECT s.approval_id FROM approval_steps AS s);
DELETE FROM admissions
WHERE at_us > (SELECT k.at_us FROM known AS k);

-- Comparisons that were kept.
DELETE FROM drift_runs
WHERE found_us > (SELECT k.at_us FROM known AS k);
DELETE FROM drift_results
WHERE run_id NOT IN (SELECT r.run_id FROM drift_runs AS r);

-- Advice that was kept, and what came of it.
DELETE FROM advice
WHERE kept_us > (SELECT k.at_us FROM known AS k);
DELETE FROM advice_results
WHERE found_us > (SELECT k.at_us FROM known AS k);

-- Budgets and quotas, the stages that they reached, and who was told.
DELETE FROM budget_books
WHERE imported_us > (SELECT k.at_us FROM known AS k);
DELETE FROM budget_crossings
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM quota_books
WHERE imported_us > (SELECT k.at_us FROM known AS k);
DELETE FROM quota_crossings
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM notice_steps
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM notices
WHERE
    crossing_id NOT IN (SELECT c.crossing_id FROM budget_crossings AS c)
    AND crossing_id NOT IN (SELECT c.crossing_id FROM quota_crossings AS c);

-- What people did about bills, and the log of what was done.
DELETE FROM dispute_events
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM disputed_charges
WHERE dispute_id NOT IN (SELECT e.dispute_id FROM dispute_events AS e);
DELETE FROM disputes
WHERE dispute_id NOT IN (SELECT e.dispute_id FROM dispute_events AS e);
DELETE FROM manual_withdrawals
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM manual_adjustments
WHERE entered_us > (SELECT k.at_us FROM known AS k);
DELETE FROM manual_lines
WHERE manual_id NOT IN (SELECT m.manual_id FROM manual_adjustments AS m);
DELETE FROM late_prices
WHERE manual_id NOT IN (SELECT m.manual_id FROM manual_adjustments AS m);
DELETE FROM audit_events
WHERE at_us > (SELECT k.at_us FROM known AS k);
DELETE FROM audit_checkpoints
WHERE at_us > (SELECT k.at_us FROM known AS k);

-- Who may ask is no part of what was known.
DELETE FROM access_enrolments;
DELETE FROM access_revocations;
DELETE FROM access_tokens;

-- Bills: those that were closed are facts, their charges too.
DELETE FROM invoice_lines
WHERE
    invoice_number IN (
        SELECT i.invoice_number FROM invoices AS i
        WHERE i.period_id > (SELECT k.period_id FROM known AS k)
    );
DELETE FROM invoices
WHERE period_id > (SELECT k.period_id FROM known AS k);
DELETE FROM corrections
WHERE period_id > (SELECT k.period_id FROM known AS k);
DELETE FROM adjustments
WHERE period_id > (SELECT k.period_id FROM known AS k);
DELETE FROM closed_periods
WHERE period_id > (SELECT k.period_id FROM known AS k);
DELETE FROM charges
WHERE
    hour_us NOT IN (
        SELECT unnest(range(p.from_us, p.to_us, 3600000000)) FROM closed_periods AS p
    );

-- What follows from them.
DELETE FROM charge_days;
DELETE FROM summed_days;
DELETE FROM usage_hourly;
DELETE FROM device_lives;
DELETE FROM dirty_hours;
DELETE FROM rated_lives;
DELETE FROM restated_charges;
DELETE FROM restated_hours;

-- The roll-up is made of all usage at once, by the statement that takes in batches.
CREATE TEMP VIEW incoming_usage AS
SELECT
    device_id,
    holder_id,
    start_us,
    state,
    reason_id,
    held_us,
    active_us,
    energy_mj,
    memory_mean_bytes,
    memory_max_bytes
FROM usage;

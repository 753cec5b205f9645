-- Disputes: what an owner holds to be charged wrongly, and what was decided about it. Rows are added, never changed.
-- organisation, department and team are who pays and would get it back; [from_us, to_us) are the hours in question.
-- A dispute is about the charges in disputed_charges: all of each, corrections included (after_period_id 0), or only
-- what was corrected from the bill of period after_period_id on. Of a line that is an adjustment, fixed_quanta is it.
CREATE TABLE disputes (
    dispute_id INTEGER PRIMARY KEY,
    subject VARCHAR NOT NULL,
    invoice_number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    after_period_id INTEGER NOT NULL,
    fixed_quanta BIGINT
);

CREATE TABLE disputed_charges (
    dispute_id INTEGER NOT NULL,
    hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL
);

-- What happened to a dispute: event 1 opens it, event 2 (resolved or withdrawn) ends it. The key lets one end it once.
CREATE TABLE dispute_events (
    dispute_id INTEGER NOT NULL,
    event INTEGER NOT NULL,
    what VARCHAR NOT NULL,
    at_us BIGINT NOT NULL,
    by_whom VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    same_person VARCHAR NOT NULL,
    decision VARCHAR NOT NULL,
    amount_quanta BIGINT,
    percent DECIMAL(9, 6),
    to_organisation VARCHAR NOT NULL,
    to_department VARCHAR NOT NULL,
    to_team VARCHAR NOT NULL,
    PRIMARY KEY (dispute_id, event)
);

CREATE VIEW dispute_states AS
SELECT
    d.dispute_id,
    d.subject,
    d.invoice_number,
    d.line,
    d.organisation,
    d.department,
    d.team,
    d.from_us,
    d.to_us,
    d.after_period_id,
    d.fixed_quanta,
    o.at_us AS opened_us,
    o.by_whom AS opened_by,
    o.why,
    e.at_us AS ended_us,
    e.amount_quanta,
    e.percent,
    coalesce(e.what, 'open') AS ended,
    coalesce(e.by_whom, '') AS ended_by,
    coalesce(e.why, '') AS ended_why,
    coalesce(e.decision, '') AS decision,
    coalesce(e.to_organisation, '') AS to_organisation,
    coalesce(e.to_department, '') AS to_department,
    coalesce(e.to_team, '') AS to_team
FROM disputes AS d
INNER JOIN dispute_events AS o ON d.dispute_id = o.dispute_id AND o.event = 1
LEFT JOIN dispute_events AS e ON d.dispute_id = e.dispute_id AND e.event = 2;

-- Adjustments that somebody entered: on no bill yet until a closed period has lines of their reference.
-- [from_us, to_us) is the time that one is for; NULL: the period on whose bill it goes.
CREATE TABLE manual_adjustments (
    manual_id INTEGER PRIMARY KEY,
    reference VARCHAR NOT NULL,
    entered_us BIGINT NOT NULL,
    entered_by VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    from_us BIGINT,
    to_us BIGINT
);

CREATE TABLE manual_lines (
    manual_id INTEGER NOT NULL,
    line INTEGER NOT NULL,
    because VARCHAR NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    state UTINYINT NOT NULL,
    part_us HUGEINT NOT NULL,
    cost_quanta BIGINT NOT NULL
);

CREATE TABLE manual_withdrawals (
    manual_id INTEGER PRIMARY KEY,
    at_us BIGINT NOT NULL,
    withdrawn_by VARCHAR NOT NULL,
    why VARCHAR NOT NULL
);

-- Hours that were closed without a price and got one later, with the price that they got: what an adjustment made of
-- them by owner and state, so that none is priced twice.
CREATE TABLE late_prices (
    manual_id INTEGER NOT NULL,
    hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    owner_id INTEGER,
    state UTINYINT NOT NULL,
    price_version INTEGER NOT NULL,
    price_entry INTEGER NOT NULL,
    rate_quanta BIGINT NOT NULL,
    cost_quanta BIGINT NOT NULL
);

-- Charges summed over each day (UTC) that is over, so that a month is read as days and not as hours: a row for every
-- device, holder, owner, state, reason and price. It follows from charges: the transaction that rates an hour anew
-- takes away the sums of its day. What lies in no day of summed_days is read from charges.
CREATE TABLE charge_days (
    day_us BIGINT NOT NULL,
    first_hour_us BIGINT NOT NULL,
    last_hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL,
    owner_id INTEGER,
    price_version INTEGER,
    price_entry INTEGER,
    held_us BIGINT NOT NULL,
    active_us BIGINT NOT NULL,
    active_unknown_us BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    energy_unknown_us BIGINT NOT NULL,
    cost_quanta BIGINT,
    active_cost_quanta BIGINT,
    unwatched_cost_quanta BIGINT
);

CREATE TABLE summed_days (
    day_us BIGINT NOT NULL
);

-- What of a charge's cost is of time whose activity is not known: what its active time leaves of its cost, by time.
-- noqa: disable=CP05,RF02
-- Parameters of macros look like columns.
CREATE MACRO unwatched_cost(of_held, of_active, of_unknown, of_cost, of_active_cost) AS
CASE
    WHEN of_unknown = 0 THEN 0
    WHEN of_unknown = of_held THEN of_cost
    ELSE ((of_cost - coalesce(of_active_cost, 0))::HUGEINT * of_unknown // (of_held - of_active))::BIGINT
END;

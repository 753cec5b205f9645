-- Billing periods that were closed. Their charges stay as they are in `charges`; what is learned later about their
-- hours is rated apart and becomes corrections in the next period that closes.
CREATE TABLE closed_periods (
    period_id INTEGER PRIMARY KEY,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    label VARCHAR NOT NULL,
    closed_us BIGINT NOT NULL,
    closed_by VARCHAR NOT NULL,
    exception VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    price_version INTEGER,
    owner_version INTEGER,
    charge_count BIGINT NOT NULL,
    charge_quanta BIGINT NOT NULL,
    unpriced_part_us HUGEINT NOT NULL,
    unobserved_part_us HUGEINT NOT NULL,
    correction_count BIGINT NOT NULL,
    correction_quanta BIGINT NOT NULL,
    digest BLOB NOT NULL
);

-- Hours of closed periods that were rated again since, with what their charges would be now.
CREATE TABLE restated_hours (
    cluster VARCHAR NOT NULL,
    hour_us BIGINT NOT NULL
);

CREATE TABLE restated_charges (
    hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL,
    owner_id INTEGER,
    held_us BIGINT NOT NULL,
    active_us BIGINT NOT NULL,
    active_unknown_us BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    energy_unknown_us BIGINT NOT NULL,
    price_version INTEGER,
    price_entry INTEGER,
    owner_version INTEGER,
    rate_quanta BIGINT,
    cost_quanta BIGINT,
    active_cost_quanta BIGINT
);

-- What a closed period takes back from, or adds to, hours of an earlier one. Time and money may be negative.
CREATE TABLE corrections (
    period_id INTEGER NOT NULL,
    corrects_period_id INTEGER NOT NULL,
    hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL,
    owner_id INTEGER,
    price_version INTEGER,
    price_entry INTEGER,
    owner_version INTEGER,
    rate_quanta BIGINT,
    held_us BIGINT NOT NULL,
    cost_quanta BIGINT NOT NULL
);

-- Numbers have no gaps: a document is made in the transaction that closes its period.
CREATE TABLE invoices (
    invoice_number INTEGER PRIMARY KEY,
    period_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    part_us HUGEINT NOT NULL,
    observed_part_us HUGEINT NOT NULL,
    cost_quanta BIGINT NOT NULL,
    payable_cents BIGINT NOT NULL,
    issued_us BIGINT NOT NULL
);

CREATE TABLE invoice_lines (
    invoice_number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    state UTINYINT NOT NULL,
    corrects VARCHAR NOT NULL,
    part_us HUGEINT NOT NULL,
    cost_quanta BIGINT NOT NULL,
    payable_cents BIGINT NOT NULL
);

-- What is known now about every hour: charges, and in their place those of hours that were rated again since.
CREATE VIEW current_charges AS
WITH restated AS (
    SELECT
        h.hour_us,
        d.device_id
    FROM restated_hours AS h
    INNER JOIN devices AS d ON h.cluster = d.cluster
)

SELECT
    c.hour_us,
    c.device_id,
    c.holder_id,
    c.state,
    c.reason_id,
    c.owner_id,
    c.held_us,
    c.active_us,
    c.active_unknown_us,
    c.energy_mj,
    c.energy_unknown_us,
    c.price_version,
    c.price_entry,
    c.owner_version,
    c.rate_quanta,
    c.cost_quanta,
    c.active_cost_quanta
FROM charges AS c
ANTI JOIN restated AS r ON c.hour_us = r.hour_us AND c.device_id = r.device_id
UNION ALL
SELECT
    n.hour_us,
    n.device_id,
    n.holder_id,
    n.state,
    n.reason_id,
    n.owner_id,
    n.held_us,
    n.active_us,
    n.active_unknown_us,
    n.energy_mj,
    n.energy_unknown_us,
    n.price_version,
    n.price_entry,
    n.owner_version,
    n.rate_quanta,
    n.cost_quanta,
    n.active_cost_quanta
FROM restated_charges AS n;

-- What hours of closed periods should have been charged, less what they were charged and corrected by.
CREATE VIEW pending_corrections AS
WITH restated AS (
    SELECT
        h.hour_us,
        d.device_id
    FROM restated_hours AS h
    INNER JOIN devices AS d ON h.cluster = d.cluster
),

signed AS (
    SELECT
        n.hour_us,
        n.device_id,
        n.holder_id,
        n.state,
        n.reason_id,
        n.owner_id,
        n.price_version,
        n.price_entry,
        n.owner_version,
        n.rate_quanta,
        n.held_us,
        coalesce(n.cost_quanta, 0) AS cost_quanta
    FROM restated_charges AS n
    UNION ALL
    SELECT
        c.hour_us,
        c.device_id,
        c.holder_id,
        c.state,
        c.reason_id,
        c.owner_id,
        c.price_version,
        c.price_entry,
        c.owner_version,
        c.rate_quanta,
        -c.held_us AS held_us,
        -coalesce(c.cost_quanta, 0) AS cost_quanta
    FROM charges AS c
    INNER JOIN restated AS r ON c.hour_us = r.hour_us AND c.device_id = r.device_id
    UNION ALL
    SELECT
        k.hour_us,
        k.device_id,
        k.holder_id,
        k.state,
        k.reason_id,
        k.owner_id,
        k.price_version,
        k.price_entry,
        k.owner_version,
        k.rate_quanta,
        -k.held_us AS held_us,
        -k.cost_quanta AS cost_quanta
    FROM corrections AS k
)

SELECT
    p.period_id AS corrects_period_id,
    s.hour_us,
    s.device_id,
    s.holder_id,
    s.state,
    s.reason_id,
    s.owner_id,
    s.price_version,
    s.price_entry,
    s.owner_version,
    s.rate_quanta,
    sum(s.held_us)::BIGINT AS held_us,
    sum(s.cost_quanta)::BIGINT AS cost_quanta
FROM signed AS s
INNER JOIN closed_periods AS p ON s.hour_us >= p.from_us AND s.hour_us < p.to_us
GROUP BY
    p.period_id,
    s.hour_us,
    s.device_id,
    s.holder_id,
    s.state,
    s.reason_id,
    s.owner_id,
    s.price_version,
    s.price_entry,
    s.owner_version,
    s.rate_quanta
HAVING sum(s.held_us) <> 0 OR sum(s.cost_quanta) <> 0;

-- Prices hold to the second: an hour in which a price turns is cut there, and its charges are told apart by how far
-- into the hour their segment begins (0: the hour's own beginning, as in every hour that is not cut).
ALTER TABLE charges ADD COLUMN offset_us BIGINT DEFAULT 0;
ALTER TABLE restated_charges ADD COLUMN offset_us BIGINT DEFAULT 0;
ALTER TABLE corrections ADD COLUMN offset_us BIGINT DEFAULT 0;

-- A price entry may be for what one owner holds, and for what a contract covers. Empty: for all.
ALTER TABLE price_entries ADD COLUMN organisation VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN department VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN team VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN project VARCHAR DEFAULT '';
ALTER TABLE price_entries ADD COLUMN contract VARCHAR DEFAULT '';

-- GPUs of a cluster that are paid for whether they are there or not; part of the price book, and versioned with it.
CREATE TABLE contracts (
    price_version INTEGER NOT NULL,
    place INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    vendor VARCHAR NOT NULL,
    cluster VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    gpus INTEGER NOT NULL,
    rate_quanta BIGINT NOT NULL,
    list_rate_quanta BIGINT,
    stated_rate DECIMAL(18, 9),
    discount_percent DECIMAL(18, 9),
    currency VARCHAR NOT NULL,
    exchange_rate DECIMAL(28, 12),
    exchange_source VARCHAR NOT NULL,
    exchange_date VARCHAR NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT
);

-- What is known now about every hour: charges, and in their place those of hours that were rated again since.
CREATE OR REPLACE VIEW current_charges AS
WITH restated AS (
    SELECT
        h.hour_us,
        d.device_id
    FROM restated_hours AS h
    INNER JOIN devices AS d ON h.cluster = d.cluster
)

SELECT
    c.hour_us,
    c.offset_us,
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
    n.offset_us,
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
CREATE OR REPLACE VIEW pending_corrections AS
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
        n.offset_us,
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
        c.offset_us,
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
        k.offset_us,
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
    s.offset_us,
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
    s.offset_us,
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

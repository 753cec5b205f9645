-- The ledger: dimensions, facts as reported, their hourly roll-up, prices, owners, charges.
-- Instants are microseconds since the epoch (UTC); money is whole quanta (1e-9 of the currency's unit).
-- Facts carry small integer keys and no index: batches, not rows, are what is de-duplicated.

CREATE TABLE devices (
    device_id INTEGER PRIMARY KEY,
    cluster VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    device_key VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    parts INTEGER NOT NULL,
    units INTEGER,
    board VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    memory_bytes BIGINT,
    pci_bus_id VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    first_seen_us BIGINT NOT NULL,
    retired_us BIGINT
);

-- When a device could be held: time inside a life that no usage covers is unobserved, time outside is nothing at all.
-- A life ends where the device is retired, or where its key goes on with other attributes (as another device_id).
CREATE TABLE device_lives (
    device_id INTEGER NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT
);

CREATE TABLE holders (
    holder_id INTEGER PRIMARY KEY,
    cluster VARCHAR NOT NULL,
    holder_key VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    namespace VARCHAR NOT NULL,
    pod VARCHAR NOT NULL,
    pod_uid VARCHAR NOT NULL,
    container VARCHAR NOT NULL,
    container_id VARCHAR NOT NULL,
    slurm_job VARCHAR NOT NULL,
    slurm_step VARCHAR NOT NULL,
    slurm_account VARCHAR NOT NULL,
    slurm_partition VARCHAR NOT NULL,
    user_name VARCHAR NOT NULL,
    uid BIGINT,
    labels VARCHAR NOT NULL,
    workload_system VARCHAR NOT NULL,
    workload_scope VARCHAR NOT NULL,
    workload_id VARCHAR NOT NULL,
    workload_name VARCHAR NOT NULL,
    team_claim VARCHAR NOT NULL
);

CREATE TABLE evidence (
    evidence_id INTEGER PRIMARY KEY,
    holder_method VARCHAR NOT NULL,
    activity_method VARCHAR NOT NULL,
    energy_method VARCHAR NOT NULL,
    split_rule VARCHAR NOT NULL,
    confidence UTINYINT NOT NULL
);

CREATE TABLE reasons (
    reason_id INTEGER PRIMARY KEY,
    reason VARCHAR NOT NULL
);

-- Rating makes rows of its own for time that no record covers (no_data) and for capacity that no job held (free).
INSERT INTO reasons VALUES (0, ''), (1, 'free'), (2, 'no_data');

CREATE TABLE batches (
    batch_id INTEGER NOT NULL,
    agent VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    cluster VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    usage_rows INTEGER NOT NULL,
    from_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    sealed_at_us BIGINT NOT NULL,
    received_us BIGINT NOT NULL,
    software VARCHAR NOT NULL
);

CREATE TABLE quarantine (
    quarantine_id INTEGER NOT NULL,
    received_us BIGINT NOT NULL,
    code VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    agent VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    frame BLOB NOT NULL
);

CREATE TABLE usage (
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL,
    evidence_id INTEGER NOT NULL,
    held_us BIGINT NOT NULL,
    active_us BIGINT,
    energy_mj BIGINT,
    memory_mean_bytes BIGINT,
    memory_max_bytes BIGINT,
    batch_id INTEGER NOT NULL
);

CREATE TABLE board_energy (
    batch_id INTEGER NOT NULL,
    board VARCHAR NOT NULL,
    energy_mj BIGINT NOT NULL,
    epoch VARCHAR NOT NULL,
    first_mj BIGINT,
    last_mj BIGINT
);

CREATE TABLE events (
    at_us BIGINT NOT NULL,
    cluster VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    device_key VARCHAR NOT NULL,
    holder_key VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    details VARCHAR NOT NULL,
    batch_id INTEGER NOT NULL
);

-- One row per device, hour, holder, state and reason, kept by adding as batches commit.
-- active_unknown_us and energy_unknown_us are the held time for which activity or energy is not known;
-- memory_byte_us is the sum of mean bytes x held time.
CREATE TABLE usage_hourly (
    hour_us BIGINT NOT NULL,
    device_id INTEGER NOT NULL,
    holder_id INTEGER,
    state UTINYINT NOT NULL,
    reason_id INTEGER NOT NULL,
    held_us BIGINT NOT NULL,
    active_us BIGINT NOT NULL,
    active_unknown_us BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    energy_unknown_us BIGINT NOT NULL,
    memory_byte_us HUGEINT NOT NULL,
    memory_max_bytes BIGINT
);

-- Hours whose charges are older than their usage, prices or owners.
CREATE TABLE dirty_hours (
    cluster VARCHAR NOT NULL,
    hour_us BIGINT NOT NULL
);

-- One row, written by whoever asks whether the ledger can commit.
CREATE TABLE probe (
    at_us BIGINT NOT NULL
);

INSERT INTO probe VALUES (0);

-- The lives of devices that charges account for; where they move, the hours between are rated again.
CREATE TABLE rated_lives (
    device_id INTEGER NOT NULL,
    from_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL
);

CREATE TABLE price_books (
    price_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    currency VARCHAR NOT NULL,
    content VARCHAR NOT NULL
);

CREATE TABLE price_entries (
    price_version INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    cluster VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    mig_profile VARCHAR NOT NULL,
    rate_quanta BIGINT NOT NULL,
    carbon_g_per_kwh DECIMAL(18, 6),
    from_us BIGINT,
    to_us BIGINT
);

CREATE TABLE owner_maps (
    owner_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
);

CREATE TABLE owner_rules (
    owner_version INTEGER NOT NULL,
    rule INTEGER NOT NULL,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    matches VARCHAR NOT NULL,
    from_us BIGINT,
    to_us BIGINT
);

CREATE TABLE owners (
    owner_id INTEGER PRIMARY KEY,
    organisation VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    team VARCHAR NOT NULL,
    project VARCHAR NOT NULL
);

-- Provisional while their period is open: replaced when their hour is rated again.
-- price_entry is NULL where no price applies (unpriced); owner_id is NULL where nobody owns the time.
CREATE TABLE charges (
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

-- Runs of jobs imported from logs: what is booked of each, so that a job counts once however often its log is read.
-- part tells the allocations of a job apart that held GPUs of several models.
CREATE TABLE imported_jobs (
    cluster VARCHAR NOT NULL,
    job VARCHAR NOT NULL,
    part VARCHAR NOT NULL,
    started_us BIGINT NOT NULL,
    booked_until_us BIGINT NOT NULL,
    ended BOOLEAN NOT NULL,
    gpus INTEGER NOT NULL,
    import_id VARCHAR NOT NULL
);

-- What has to be accounted for: the lives of each device, as far as its cluster is known (the end of the newest batch).
-- A pool is known as far as its jobs reach. capacity_units is NULL where nobody said how many GPUs the pool has: then
-- what was held is all there is.
CREATE VIEW known_lives AS
WITH watermarks AS (
    SELECT
        cluster,
        max(until_us) AS until_us
    FROM batches
    GROUP BY cluster
),

pool_ends AS (
    SELECT
        u.device_id,
        max(u.end_us) AS until_us
    FROM usage AS u
    INNER JOIN devices AS d ON u.device_id = d.device_id
    WHERE d.kind = 'pool'
    GROUP BY u.device_id
),

lives AS (
    SELECT
        d.device_id,
        d.cluster,
        d.kind,
        l.from_us,
        l.to_us,
        CASE WHEN d.kind = 'pool' THEN d.units ELSE 1 END AS capacity_units,
        CASE WHEN d.kind = 'pool' THEN p.until_us ELSE w.until_us END AS known_until_us
    FROM devices AS d
    INNER JOIN device_lives AS l ON d.device_id = l.device_id
    LEFT JOIN watermarks AS w ON d.cluster = w.cluster
    LEFT JOIN pool_ends AS p ON d.device_id = p.device_id
)

SELECT
    device_id,
    cluster,
    kind,
    capacity_units,
    from_us,
    least(known_until_us, coalesce(to_us, known_until_us)) AS until_us
FROM lives
WHERE least(known_until_us, coalesce(to_us, known_until_us)) > from_us;

-- Hours whose charges are not what they should be: marked ones, and those between the lives that charges account for
-- and the lives that are known now.
CREATE VIEW pending_hours AS
WITH moved AS (
    SELECT
        l.device_id,
        least(l.until_us, coalesce(r.until_us, l.from_us)) AS start_us,
        greatest(l.until_us, coalesce(r.until_us, l.from_us)) AS end_us
    FROM known_lives AS l
    LEFT JOIN rated_lives AS r ON l.device_id = r.device_id AND l.from_us = r.from_us
    WHERE r.until_us IS NULL OR l.until_us <> r.until_us
    UNION ALL
    SELECT
        r.device_id,
        r.from_us AS start_us,
        r.until_us AS end_us
    FROM rated_lives AS r
    LEFT JOIN known_lives AS l ON r.device_id = l.device_id AND r.from_us = l.from_us
    WHERE l.device_id IS NULL
)

SELECT
    cluster,
    hour_us
FROM dirty_hours
UNION
SELECT
    d.cluster,
    unnest(range(m.start_us - m.start_us % 3600000000, m.end_us, 3600000000)) AS hour_us
FROM moved AS m
INNER JOIN devices AS d ON m.device_id = d.device_id;

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
-- active_unknown_us and energy_unknown_us are the held time for which activity or energy is not known.
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
    memory_byte_seconds HUGEINT NOT NULL,
    memory_max_bytes BIGINT
);

-- Hours whose charges are older than their usage, prices or owners.
CREATE TABLE dirty_hours (
    cluster VARCHAR NOT NULL,
    hour_us BIGINT NOT NULL
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
    from_us BIGINT NOT NULL,
    to_us BIGINT
);

CREATE TABLE owner_maps (
    owner_version INTEGER PRIMARY KEY,
    imported_us BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    digest BLOB NOT NULL,
    content VARCHAR NOT NULL
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

-- Jobs imported from logs: what is known of each, so that a job counts once however often its log is read.
CREATE TABLE imported_jobs (
    cluster VARCHAR NOT NULL,
    job_key VARCHAR NOT NULL,
    started_us BIGINT NOT NULL,
    booked_until_us BIGINT NOT NULL,
    ended BOOLEAN NOT NULL,
    gpus INTEGER NOT NULL,
    import_id VARCHAR NOT NULL
);

"""A ledger with a month of charges that nobody had to earn: for benchmarks of what reads them.

A varied one has what pages show besides: several models, held time without work, an agent a node, faults.
"""

from __future__ import annotations

from pathlib import Path

from collector.day_sums import sum_days
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import parse_period
from gpuledger.accounting.units import US_PER_HOUR

MONTH = "2026-10"
HOURS = 744  # of it
FILL = """
INSERT INTO devices
    SELECT
        i, 'c', 'node-' || i // 8, 'GPU-' || i, 'gpu',
        CASE WHEN {varied} AND i % 10 = 8 THEN 'NVIDIA A100-SXM4-80GB'
            WHEN {varied} AND i % 10 = 9 THEN 'NVIDIA L40S' ELSE 'NVIDIA H100 80GB HBM3' END,
        840, NULL, 'GPU-' || i, '', NULL, '',
        'train', {start}, NULL
    FROM range({gpus}) t(i);
INSERT INTO holders BY NAME
    SELECT
        i AS holder_id, 'c' AS cluster, 'pod:' || uuid() || '/main' AS holder_key, 'pod' AS kind,
        'team-' || i % 9 AS namespace, 'train-' || i AS pod, '' AS pod_uid, 'main' AS container, '' AS container_id,
        '' AS slurm_job, '' AS slurm_step, '' AS slurm_account, '' AS slurm_partition, 'user-' || i % 40 AS user_name,
        '{{"app":"train","experiment":"e' || i % 30 || '"}}' AS labels, 'mlflow' AS workload_system,
        '' AS workload_scope, 'run-' || i AS workload_id, 'run ' || i AS workload_name, '' AS team_claim,
        '' AS controller, '' AS team_source
    FROM range({holders}) t(i);
INSERT INTO owners SELECT i, 'acme', 'research', 'team-' || i, 'p' FROM range(9) t(i);
INSERT INTO price_books VALUES (1, 0, 'x', 'x', 'EUR', '');
INSERT INTO price_entries BY NAME
    SELECT
        1 AS price_version, 0 AS entry, '' AS cluster, '' AS pool, '*' AS model, '' AS mig_profile,
        2490000000 AS rate_quanta, 118 AS carbon_g_per_kwh;
INSERT INTO device_lives SELECT i, {start}, NULL FROM range({gpus}) t(i);
INSERT INTO rated_lives SELECT i, {start}, {end} FROM range({gpus}) t(i);
INSERT INTO reasons VALUES (3, 'memory_held');
INSERT INTO batches
    SELECT 1 + i, 'agent-' || i, 'b', 0, 'c', 'node-' || i, 'x', 1, {start}, {end}, {end}, {end}, ''
    FROM range(CASE WHEN {varied} THEN ({gpus} + 7) // 8 ELSE 1 END) t(i);
INSERT INTO events
    SELECT
        {end} - 1 - i * 60000000, 'c', 'node-' || d // 8, 'xid', 'error', 'GPU-' || d, '', 'XID 79',
        '{{"xid":"79"}}', 1 + d // 8
    FROM (SELECT i, hash(i) % {gpus} AS d FROM range(CASE WHEN {varied} THEN 2000 ELSE 0 END) t(i)) AS u;
INSERT INTO charges BY NAME
    WITH hours AS (
        SELECT
            {start} + h * 3600000000 AS hour_us, d AS device_id,
            CASE WHEN (d + h) % 3 = 0 THEN 600000000 + (hash(d, h) % 2400000000)::BIGINT ELSE 3600000000 END AS used_us,
            (d + h // 24) % {holders} AS who, (d + h // 24) % 9 AS team, (hash(h, d) % 1800000)::BIGINT AS energy_mj,
            {varied} AND (d + h // 6) % 8 = 0 AS idles  -- six hours of every two days
        FROM range({hours}) t(h), range({gpus}) u(d)
    ),
    parts AS (
        SELECT *, part, CASE WHEN part = 0 THEN used_us ELSE 3600000000 - used_us END AS held_us
        FROM hours, range(2) v(part)
        WHERE part = 0 OR used_us < 3600000000
    )
    SELECT
        hour_us, device_id, CASE WHEN part = 0 THEN who END AS holder_id,
        CASE WHEN part = 1 THEN 3 WHEN idles THEN 2 ELSE 1 END AS state,
        CASE WHEN part = 1 THEN 1 WHEN idles THEN 3 ELSE 0 END AS reason_id,
        CASE WHEN part = 0 THEN team END AS owner_id, held_us,
        CASE WHEN part = 0 AND NOT idles THEN held_us // 4 ELSE 0 END AS active_us,
        CASE WHEN part = 0 AND device_id % 50 = 0 THEN held_us // 8 ELSE 0 END AS active_unknown_us, energy_mj,
        0 AS energy_unknown_us, 1 AS price_version, 0 AS price_entry, 1 AS owner_version, 2490000000 AS rate_quanta,
        held_us * 249 // 360 AS cost_quanta,
        CASE WHEN part = 0 AND NOT idles THEN held_us // 4 ELSE 0 END * 249 // 360 AS active_cost_quanta
    FROM parts;
"""


def fill(directory: Path, *, gpus: int, holders: int, months: int = 1, varied: bool = False) -> int:
    """Write charges of so many GPUs and holders, up to the end of MONTH; return how many charges that month has.

    Months before it are as long as it is.
    """
    month = parse_period(MONTH)
    with Ledger.open(directory) as ledger:
        with ledger.transaction() as session:
            hours = months * HOURS
            start_us = month.end_us - hours * US_PER_HOUR
            shape = {"start": start_us, "end": month.end_us, "hours": hours, "gpus": gpus, "holders": holders}
            session.script(FILL.format(**shape, varied=varied), label="fill")
        while sum_days(ledger):
            pass  # as a collector does that has run for a while
        totals = ledger.execute("period_totals", {"from_us": month.start_us, "to_us": month.end_us}).to_pylist()
    return int(totals[0]["charge_count"])

"""A ledger with usage that nobody sent: raw rows and their hourly roll-up, priced and owned, to rate and prove."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from collector.ledger.store import Ledger
from collector.pricing.imports import import_owners, import_prices
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import VirtualClock

BOOK: Final = b'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"\ncarbon_g_per_kwh = "118"\n'
OWNERS: Final = "".join(f'[[owner]]\nteam = "team-{n}"\nmatch.namespace = "team-{n}"\n' for n in range(9)).encode()
TEAM_HOLDERS: Final = 400  # of 9 teams

# One record for an hour that a holder had whole, two where it let go within the hour: 1.33 rows a device and hour.
DIMENSIONS: Final = """
INSERT INTO devices BY NAME
    SELECT
        i AS device_id, 'c' AS cluster, 'node-' || i // 8 AS node, 'GPU-' || i AS device_key, 'gpu' AS kind,
        'NVIDIA H100 80GB HBM3' AS model, 840 AS parts, 'GPU-' || i AS board, '' AS mig_profile, '' AS pci_bus_id,
        'train' AS pool, {start} AS first_seen_us
    FROM range({gpus}) t(i);
INSERT INTO device_lives SELECT i, {start}, NULL FROM range({gpus}) t(i);
INSERT INTO holders BY NAME
    SELECT
        i AS holder_id, 'c' AS cluster, 'pod:' || uuid() || '/main' AS holder_key, 'pod' AS kind,
        'team-' || i % 9 AS namespace, 'train-' || i AS pod, '' AS pod_uid, 'main' AS container, '' AS container_id,
        '' AS slurm_job, '' AS slurm_step, '' AS slurm_account, '' AS slurm_partition, 'user-' || i % 40 AS user_name,
        '{{}}' AS labels, '' AS workload_system, '' AS workload_scope, '' AS workload_id, 'run ' || i AS workload_name,
        '' AS team_claim, '' AS controller, '' AS team_source
    FROM range({holders}) t(i);
INSERT INTO evidence VALUES (1, 'cgroup', 'nvml', 'nvml', 'time', 1);
"""
USAGE: Final = """
INSERT INTO usage
    WITH hours AS (
        SELECT
            d AS device_id, {from_us} + h * 3600000000 AS hour_us,
            ({first} + h) * ({gpus} // 8 + 1) + d // 8 AS batch_id, (d + (h + {first}) // 24) % {holders} AS holder_id,
            CASE WHEN (d + h) % 3 = 0 THEN 600000000 + (hash(d, h) % 2400000000)::BIGINT ELSE 3600000000 END AS held_us
        FROM range({hours}) t(h), range({gpus}) u(d)
    )
    SELECT
        device_id, holder_id, hour_us, hour_us + held_us, 1, 0, 1, held_us, held_us * 7 // 9, held_us // 2, 1, 1,
        batch_id
    FROM hours
    UNION ALL
    SELECT
        device_id, NULL, hour_us + held_us, hour_us + 3600000000, 3, 1, 1, 3600000000 - held_us, 0,
        (3600000000 - held_us) // 9, 1, 1, batch_id
    FROM hours
    WHERE held_us < 3600000000;
INSERT INTO usage_hourly
    SELECT
        start_us // 3600000000 * 3600000000, device_id, holder_id, state, reason_id, held_us, active_us, 0, energy_mj,
        0, held_us, 1
    FROM usage
    WHERE start_us >= {from_us} AND start_us < {to_us};
INSERT INTO batches
    SELECT
        batch_id, 'agent-' || device_id // 8, 'boot', start_us // 3600000000, 'c', 'node-' || device_id // 8, 'x',
        count(*), min(start_us), max(end_us), max(end_us), max(end_us), ''
    FROM usage
    WHERE start_us >= {from_us} AND start_us < {to_us}
    GROUP BY batch_id, device_id // 8, start_us // 3600000000;
INSERT INTO board_energy
    SELECT batch_id, 'GPU-' || device_id, sum(energy_mj), '', NULL, NULL
    FROM usage
    WHERE start_us >= {from_us} AND start_us < {to_us}
    GROUP BY batch_id, device_id;
"""
_STEP_HOURS: Final = 72  # inserted at once


def open_at_the_end(directory: Path, period: Period) -> Ledger:
    """Open a ledger whose clock stands after the period, so that it can be closed."""
    return Ledger.open(directory, clock=VirtualClock(period.end_us + US_PER_HOUR))


def fill_usage(ledger: Ledger, period: Period, *, gpus: int) -> int:
    """Write the usage of so many GPUs over a period, to be rated; return how many rows of raw usage that are."""
    holders = max(9, gpus * TEAM_HOLDERS // 1_000)
    shape = {"gpus": gpus, "holders": holders, "start": period.start_us}
    with ledger.transaction() as session:
        session.script(DIMENSIONS.format(**shape), label="dimensions")
    import_prices(ledger, BOOK, "toml", source="prices.toml", imported_us=period.start_us)
    import_owners(ledger, OWNERS, "toml", source="owners.toml", imported_us=period.start_us)
    rows = 0
    for from_us in range(period.start_us, period.end_us, _STEP_HOURS * US_PER_HOUR):
        to_us = min(from_us + _STEP_HOURS * US_PER_HOUR, period.end_us)
        first, hours = (from_us - period.start_us) // US_PER_HOUR, (to_us - from_us) // US_PER_HOUR
        text = USAGE.format(**shape, from_us=from_us, to_us=to_us, first=first, hours=hours)
        with ledger.transaction() as session:
            session.script(text, label="usage")
        rows += hours * gpus + sum((gpus + 2 - (-hour % 3)) // 3 for hour in range(hours))
    ledger.checkpoint()
    return rows


def months(count: int) -> Period:
    """Return so many whole months, from the beginning of 2026."""
    begin, end = (datetime(2026 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in (0, count))
    start_us, end_us = (int(at.timestamp()) * 1_000_000 for at in (begin, end))
    return Period(start_us, end_us, f"{count} months")

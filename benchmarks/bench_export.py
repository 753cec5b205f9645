"""FOCUS exports of a month of 1,000 GPUs: rows a second and peak memory, against writing the same lines as bare CSV."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import parse_period
from gpuledger.accounting.units import US_PER_HOUR

MONTH = "2026-10"
FIRST_DAYS = "2026-10-01..2026-10-05"
SIZES = {"gpus": 1_000, "hours": 744, "holders": 400, "hour": US_PER_HOUR}
FILL = """
INSERT INTO devices
    SELECT
        i, 'c', 'node-' || i // 8, 'GPU-' || i, 'gpu', 'NVIDIA H100 80GB HBM3', 840, NULL, 'GPU-' || i, '', NULL, '',
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
INSERT INTO batches VALUES (1, 'a', 'b', 0, 'c', 'n', 'x', 1, {start}, {end}, 0, 0, '');
INSERT INTO charges
    SELECT
        {start} + h * {hour}, d, CASE WHEN part = 0 THEN (d + h // 24) % {holders} END, 1 + 2 * part, part,
        CASE WHEN part = 0 THEN (d + h // 24) % 9 END, 1200000000 * (2 - part), 300000000, 0, 1000000, 0, 1, 0, 1,
        2490000000, 830000000 * (2 - part), 207500000
    FROM range({hours}) t(h), range({gpus}) u(d), range(2) v(part)
    WHERE part = 0 OR (d + h) % 3 = 0;
"""
EXPORT = """
import re, sys
from gpuledger.cli.main import main
assert main(sys.argv[1:]) == 0
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def main() -> int:
    """Fill a ledger, export it in processes of their own, print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        rows, bare_s = fill(directory / "ledger"), bare(directory)
        for spec in ("1.4", "1.2"):
            seconds, peak_mib = export(directory, spec, MONTH)
            size = (directory / "out" / f"focus_{spec.replace('.', '_')}_cost_and_usage.csv").stat().st_size
            print(
                f"FOCUS {spec}, {rows:,} rows: {seconds:.1f} s, {rows / seconds:,.0f} rows/s, peak {peak_mib:,.0f} MiB,"
                f" {size / 2**20:,.0f} MiB of CSV; bare lines as CSV {bare_s:.1f} s ({seconds / bare_s:.1f} times)"
            )
        _, peak_mib = export(directory, "1.4", FIRST_DAYS)
        print(f"four days of it: peak {peak_mib:,.0f} MiB")
    return 0


def fill(directory: Path) -> int:
    """Write a month of charges; return how many."""
    month = parse_period(MONTH)
    with Ledger.open(directory) as ledger:
        with ledger.transaction() as session:
            session.script(FILL.format(start=month.start_us, end=month.end_us, **SIZES), label="fill")
        totals = ledger.execute("period_totals", {"from_us": month.start_us, "to_us": month.end_us}).to_pylist()
    return int(totals[0]["charge_count"])


def bare(directory: Path) -> float:
    """Return how long it takes to read the same lines and write them as they are."""
    from pyarrow import csv  # noqa: PLC0415 - part of what is measured

    month = parse_period(MONTH)
    params = {"from_us": month.start_us, "to_us": month.end_us, "kind": "charge", "max_rows": 10**9}
    with Ledger.open(directory / "ledger") as ledger:
        began = time.perf_counter()
        csv.write_csv(ledger.execute("query_bill", params), directory / "bare.csv")
        return time.perf_counter() - began


def export(directory: Path, spec: str, period: str) -> tuple[float, float]:
    """Return the seconds and the peak memory (MiB) of an export in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-c", EXPORT, "export", "focus", "--spec", spec, "--period", period]
    command += ["--ledger", str(directory / "ledger"), "--out", str(directory / "out")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stderr.split()[-1]) / 1024


if __name__ == "__main__":
    sys.exit(main())

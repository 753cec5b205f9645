"""FOCUS exports of a month of 1,000 GPUs: rows a second and peak memory, against writing the same lines as bare CSV."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.filled_ledger import MONTH, fill
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import parse_period

FIRST_DAYS = "2026-10-01..2026-10-05"
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
        rows, bare_s = fill(directory / "ledger", gpus=1_000, holders=400), bare(directory)
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

"""The proof of a month and of a year: seconds, rows a second and peak memory, against one bare sum of all charges."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.filled_usage import fill_usage, months, open_at_the_end
from benchmarks.process_figures import Measured, apart, gpus, measured
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty

GPUS = 200
SUM = "SELECT hour_us, device_id, sum(held_us), sum(cost_quanta) FROM charges GROUP BY ALL HAVING sum(held_us) < 0"


def fill(directory: Path, count: int) -> int:
    """Return how many charges so many months of usage become."""
    period = months(count)
    with open_at_the_end(directory, period) as ledger:
        fill_usage(ledger, period, gpus=gpus(GPUS))
        return rate_dirty(ledger).charges


def prove(directory: Path, count: int) -> Measured:
    """Prove so many months."""
    period = months(count)
    with open_at_the_end(directory, period) as ledger:
        return measured(lambda: reconcile(ledger, period).ok)


def bare(directory: Path, count: int) -> Measured:
    """Sum all charges by device and hour, once."""
    with open_at_the_end(directory, months(count)) as ledger, ledger.snapshot() as session:
        connection = session._connection  # noqa: SLF001 - the baseline is what no statement file says
        return measured(lambda: connection.execute(SUM).fetchall())


def main() -> int:
    """Fill a ledger with a month and one with a year, prove both in processes of their own, print the figures."""
    for count, label in ((1, "a month"), (12, "a year")):
        with tempfile.TemporaryDirectory() as folder:
            charges: int = apart(fill, Path(folder), count)
            proof: Measured = apart(prove, Path(folder), count)
            summed: Measured = apart(bare, Path(folder), count)
        if not proof.result:
            raise SystemExit("the proof of a filled ledger fails")
        print(
            f"{label} of {gpus(GPUS):,} GPUs, {charges:,} charges: {proof.seconds:.1f} s,"
            f" {charges / proof.seconds:,.0f} charges/s, {proof.cpu_s:.1f} s of CPU, peak {proof.peak_mib:,.0f} MiB;"
            f" one sum by device and hour {summed.seconds:.2f} s ({proof.cpu_s / summed.cpu_s:.0f} times in CPU)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

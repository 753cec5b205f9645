"""Rating a month and closing it: rows a second against a plain INSERT ... SELECT join in the same run, peak memory."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.filled_usage import fill_usage, months, open_at_the_end
from benchmarks.process_figures import Measured, apart, gpus, measured
from collector.periods.closing import close_period
from collector.rating import rate_dirty

GPUS = 1_000
MONTH = months(1)
# The rate of one book and the team of a namespace, times the time held, in floating point: no rest of the hour that no
# record covers, no shares of a rounded hour, nothing that is replaced or pinned.
PLAIN = """
CREATE TABLE plain_charges (
    hour_us BIGINT, device_id INTEGER, holder_id INTEGER, state UTINYINT, reason_id INTEGER, team VARCHAR,
    held_us BIGINT, active_us BIGINT, active_unknown_us BIGINT, energy_mj BIGINT, energy_unknown_us BIGINT,
    price_entry INTEGER, rate_quanta BIGINT, cost_quanta BIGINT, active_cost_quanta BIGINT
);
INSERT INTO plain_charges
    SELECT
        u.hour_us, u.device_id, u.holder_id, u.state, u.reason_id, h.namespace, u.held_us, u.active_us,
        u.active_unknown_us, u.energy_mj, u.energy_unknown_us, e.entry, e.rate_quanta,
        (u.held_us * e.rate_quanta::DOUBLE / 3600000000)::BIGINT,
        (u.active_us * e.rate_quanta::DOUBLE / 3600000000)::BIGINT
    FROM usage_hourly u
    JOIN devices d USING (device_id)
    LEFT JOIN holders h USING (holder_id)
    LEFT JOIN price_entries e ON e.price_version = 1 AND e.model IN ('*', d.model)
    ORDER BY u.hour_us, u.device_id;
"""


def fill(directory: Path) -> int:
    """Return how many rows of raw usage there are to rate."""
    with open_at_the_end(directory, MONTH) as ledger:
        return fill_usage(ledger, MONTH, gpus=gpus(GPUS))


def plain(directory: Path) -> Measured:
    """Do the plain join, and commit it."""

    def join() -> None:
        with ledger.transaction() as session:
            session.script(PLAIN, label="plain")

    with open_at_the_end(directory, MONTH) as ledger:
        return measured(join)


def rate(directory: Path) -> Measured:
    """Rate the month."""
    with open_at_the_end(directory, MONTH) as ledger:
        return measured(lambda: rate_dirty(ledger).charges)


def close(directory: Path) -> tuple[Measured, float]:
    """Close the month; return how long that kept other writers out, too."""
    with open_at_the_end(directory, MONTH) as ledger:
        alone, held = ledger.alone, []

        @contextmanager
        def watched() -> Iterator[None]:
            with alone():
                began = time.perf_counter()
                yield
                held.append(time.perf_counter() - began)

        ledger.alone = watched  # type: ignore[method-assign]
        return measured(lambda: close_period(ledger, MONTH, closed_by="benchmark").charges), sum(held)


def main() -> int:
    """Fill a ledger, rate and close it in processes of their own, print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        rows = apart(fill, directory)
        rated: Measured = apart(rate, directory)
        joined: Measured = apart(plain, directory)
        closed, held_s = apart(close, directory)
    print(f"{gpus(GPUS):,} GPUs for a month, {rows:,} rows of usage, {rated.result:,} charges")
    for label, work in (("plain INSERT ... SELECT join", joined), ("rating", rated), ("closing", closed)):
        print(
            f"{label}: {work.seconds:.1f} s ({work.seconds / joined.seconds:.1f} times),"
            f" {rows / work.seconds:,.0f} rows/s, {work.cpu_s:.1f} s of CPU ({work.cpu_s / joined.cpu_s:.1f}),"
            f" peak {work.peak_mib:,.0f} MiB"
        )
    print(f"of closing, under the write lock: {held_s:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A month of 10,000 GPUs held against shares, and its loans, against the bare sums by hour and team below them."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filled_ledger import MONTH, fill
from collector.ledger.store import Ledger
from collector.pricing.shares import import_shares
from collector.queries.loans import loans
from collector.queries.quotas import quotas
from gpuledger.accounting.periods import parse_period

GPUS = 10_000
TEAMS = 9
REPEATS = 3
SHARES = 'loan_percent = "25"\n' + "".join(
    f'[[share]]\nteam = "team-{number}"\ngpus = {400 + 150 * number}\n' for number in range(TEAMS)
)
BY_HAND = """
SELECT c.hour_us, c.owner_id, c.state <> 3 AS held, sum(c.held_us * d.parts), sum(c.cost_quanta)
FROM charges c JOIN devices d USING (device_id)
WHERE c.hour_us >= $from_us AND c.hour_us < $to_us GROUP BY ALL
"""


def main() -> int:
    """Fill a ledger, ask for both, print the figures."""
    month = parse_period(MONTH)
    with tempfile.TemporaryDirectory() as folder:
        rows = fill(Path(folder), gpus=GPUS, holders=4_000)
        with Ledger.open(Path(folder)) as ledger:
            import_shares(ledger, SHARES.encode(), "toml", source="shares.toml", imported_us=month.start_us)
            span = {"from_us": month.start_us, "to_us": month.end_us}
            with ledger.snapshot() as session:
                bare = session._connection  # noqa: SLF001 - the baseline is what no statement file says
                by_hand_s = _best(lambda: bare.execute(BY_HAND, span).fetchall())
            quotas_s = _best(lambda: quotas(ledger, month))
            loans_s = _best(lambda: loans(ledger, month))
            lent = loans(ledger, month).gpu_hours
    print(f"charge_rows                   {rows:,}")
    print(f"loan_gpu_hours                {lent:,.0f}")
    print(f"sums_by_hand_s                {by_hand_s:.3f}")
    print(f"quotas_s                      {quotas_s:.3f}")
    print(f"loans_s                       {loans_s:.3f}")
    print(f"ratio                         {max(quotas_s, loans_s) / by_hand_s:.2f}")
    print(f"peak_memory_mib               {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f}")
    return 0


def _best(work: Callable[[], object]) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())

"""A month's chargeback by team for 10,000 GPUs, against the same sums written by hand on a bare table."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filled_ledger import MONTH, fill
from collector.ledger.store import Ledger
from collector.queries.chargeback import chargeback
from gpuledger.accounting.periods import parse_period

GPUS = 10_000
REPEATS = 5
BARE = """
CREATE TABLE bare AS
    SELECT c.hour_us, o.team, c.state, c.held_us * d.parts AS part_us, c.active_us * d.parts AS active_part_us,
        c.energy_mj, c.cost_quanta, c.active_cost_quanta
    FROM charges c JOIN devices d USING (device_id) LEFT JOIN owners o USING (owner_id)
"""
BY_HAND = """
SELECT team, state, sum(part_us), sum(active_part_us), sum(energy_mj), sum(cost_quanta), sum(active_cost_quanta)
FROM bare WHERE hour_us >= $from_us AND hour_us < $to_us GROUP BY team, state ORDER BY team, state
"""


def main() -> int:
    """Fill a ledger, ask both, print the figures."""
    month = parse_period(MONTH)
    with tempfile.TemporaryDirectory() as folder:
        rows = fill(Path(folder), gpus=GPUS, holders=4_000)
        with Ledger.open(Path(folder)) as ledger:
            with ledger.transaction() as session:
                session.script(BARE, label="bare")
            span = {"from_us": month.start_us, "to_us": month.end_us}
            with ledger.snapshot() as session:
                bare = session._connection  # noqa: SLF001 - the baseline is what no statement file says
                by_hand_s = _best(lambda: bare.execute(BY_HAND, span).fetchall())
            ours_s = _best(lambda: chargeback(ledger, month, by="team"))
    print(f"charge_rows                   {rows:,}")
    print(f"by_hand_on_a_bare_table_s     {by_hand_s:.3f}")
    print(f"chargeback_s                  {ours_s:.3f}")
    print(f"ratio                         {ours_s / by_hand_s:.2f}")
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

"""A month's chargeback by team, against the same sums written by hand over a bare table of plain columns.

The bare table has what our tables hold apart already in each row: the team, time times the parts of the device, carbon
per kilowatt-hour, and what is unpriced or unwatched. The same sums over it are what somebody would write by hand.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filled_ledger import MONTH, fill
from benchmarks.process_figures import gpus
from collector.ledger.store import Ledger
from collector.queries.chargeback import chargeback
from gpuledger.accounting.periods import parse_period

GPUS = 10_000
REPEATS = 5
BARE = """
CREATE TABLE bare AS
    SELECT
        c.hour_us, o.team, c.state, c.held_us * d.parts AS part_us, c.active_us * d.parts AS active_part_us,
        c.active_unknown_us * d.parts AS unwatched_part_us, c.energy_mj,
        c.energy_unknown_us * d.parts AS unmetered_part_us,
        coalesce(i.g_per_kwh, e.carbon_g_per_kwh) AS carbon_g_per_kwh, i.g_per_kwh IS NOT NULL AS hourly, c.cost_quanta,
        c.active_cost_quanta, c.price_entry IS NULL AS unpriced,
        CASE
            WHEN c.active_unknown_us > 0
                THEN (c.cost_quanta - c.active_cost_quanta) * c.active_unknown_us // (c.held_us - c.active_us)
        END AS unwatched_cost_quanta
    FROM charges c JOIN devices d USING (device_id) LEFT JOIN owners o USING (owner_id)
    LEFT JOIN price_entries e ON c.price_version = e.price_version AND c.price_entry = e.entry
    LEFT JOIN carbon_known i ON e.carbon_region = i.region AND c.hour_us = i.hour_us
"""
BY_HAND = """
SELECT
    team, state, sum(part_us), sum(active_part_us), sum(unwatched_part_us), sum(energy_mj), sum(unmetered_part_us),
    sum(energy_mj::DECIMAL(19, 0) * carbon_g_per_kwh), sum(energy_mj) FILTER (carbon_g_per_kwh IS NULL),
    sum(energy_mj) FILTER (hourly), sum(cost_quanta), sum(part_us) FILTER (unpriced), sum(active_cost_quanta),
    sum(active_part_us) FILTER (unpriced), sum(unwatched_cost_quanta), sum(unwatched_part_us) FILTER (unpriced)
FROM bare WHERE hour_us >= $from_us AND hour_us < $to_us GROUP BY team, state ORDER BY team, state
"""
FIVE_SUMS = """
SELECT team, state, sum(part_us), sum(active_part_us), sum(energy_mj), sum(cost_quanta), sum(active_cost_quanta)
FROM bare WHERE hour_us >= $from_us AND hour_us < $to_us GROUP BY team, state ORDER BY team, state
"""


def main() -> int:
    """Fill a ledger, ask both, print the figures."""
    month = parse_period(MONTH)
    with tempfile.TemporaryDirectory() as folder:
        rows = fill(Path(folder), gpus=gpus(GPUS), holders=4_000)
        with Ledger.open(Path(folder)) as ledger:
            with ledger.transaction() as session:
                session.script(BARE, label="bare")
            span = {"from_us": month.start_us, "to_us": month.end_us}
            with ledger.snapshot() as session:
                bare = session._connection  # noqa: SLF001 - the baseline is what no statement file says
                by_hand_s = _best(lambda: bare.execute(BY_HAND, span).fetchall())
                five_s = _best(lambda: bare.execute(FIVE_SUMS, span).fetchall())
            ours_s = _best(lambda: chargeback(ledger, month, by="team"))
    print(f"charge_rows                   {rows:,}")
    print(f"by_hand_on_a_bare_table_s     {by_hand_s:.3f}")
    print(f"chargeback_s                  {ours_s:.3f}")
    print(f"ratio                         {ours_s / by_hand_s:.2f}")
    print(f"five_of_the_sums_by_hand_s    {five_s:.3f} (of sixteen; ratio {ours_s / five_s:.2f})")
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

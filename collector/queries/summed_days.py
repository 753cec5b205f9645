"""Which days of a period a statement may read as sums (`charge_days`), in place of their charges hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.ledger.database import Session
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.within import EVERYTHING, Within

NO_DAYS: Final = {"days_from_us": 0, "days_to_us": 0}


def days_params(
    session: Session, period: Period, within: Within = EVERYTHING, *, by_hour: bool = False
) -> dict[str, int]:
    """Return the parameters that say which days are read as sums: the longest run of them, half-open, or none.

    None in a part of the ledger, whose charges are picked one by one; nor, with `by_hour`, where the carbon intensity
    of an hour of the period is known.
    """
    if within != EVERYTHING:
        return NO_DAYS
    asked = {"from_us": period.start_us, "to_us": period.end_us, "day_us": US_PER_DAY, "by_hour": by_hour}
    first_us, end_us = longest_run(session.execute("query_summed_days", asked)["day_us"].to_pylist())
    return {"days_from_us": first_us, "days_to_us": end_us}


def longest_run(days_us: Sequence[int]) -> tuple[int, int]:
    """Return the longest run of days that follow each other, as `[first, end)`; the first of equal ones; empty: none.

    >>> longest_run([0, 2 * US_PER_DAY, 3 * US_PER_DAY]) == (2 * US_PER_DAY, 4 * US_PER_DAY)
    True
    """
    best, run = (0, 0), (0, 0)
    for day_us in days_us:
        run = (run[0] if run[1] == day_us and run != (0, 0) else day_us, day_us + US_PER_DAY)
        best = max(best, run, key=lambda each: each[1] - each[0])
    return best

"""Where the ledger stands: its currency, how far it is known, and what waits to be rated."""

from __future__ import annotations

from typing import NamedTuple

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import all_closed, closed_periods
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period


class Standing(NamedTuple):
    """What every answer about money says of the ledger beside its figures."""

    currency: str | None
    known_until_us: int | None
    pending_hours: int
    final: bool  # every hour of the period is in a closed one


def standing(ledger: Ledger, period: Period) -> Standing:
    """Return the ledger's currency, the end of its newest batch, what of `period` waits to be rated, and finality."""
    with ledger.snapshot() as session:
        return standing_in(session, period)


def standing_in(session: Session, period: Period) -> Standing:
    """Return the same of the snapshot that the figures beside it are read from."""
    [row] = session.execute("query_standing", {"from_us": period.start_us, "to_us": period.end_us}).to_pylist()
    final = all_closed(closed_periods(session), Interval(period.start_us, period.end_us))
    return Standing(row["currency"], row["known_until_us"], row["pending_hours"], final)

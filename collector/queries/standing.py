"""Where the ledger stands: its currency, how far it is known, and what waits to be rated."""

from __future__ import annotations

from typing import NamedTuple

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period


class Standing(NamedTuple):
    """What every answer about money says of the ledger beside its figures."""

    currency: str | None
    known_until_us: int | None
    pending_hours: int


def standing(ledger: Ledger, period: Period) -> Standing:
    """Return the ledger's currency, the end of its newest batch, and how many hours of `period` wait to be rated."""
    params = {"from_us": period.start_us, "to_us": period.end_us}
    [row] = ledger.execute("query_standing", params).to_pylist()
    return Standing(row["currency"], row["known_until_us"], row["pending_hours"])

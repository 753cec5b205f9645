"""The billing periods that are closed: what each pins for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from collector.ledger.database import Session
from gpuledger.accounting.intervals import Interval, gaps


class ClosedPeriod(NamedTuple):
    """A closed period `[from_us, to_us)`, its versions, and what its bill came to; `exception`: why it could close."""

    period_id: int
    from_us: int
    to_us: int
    label: str
    closed_us: int
    closed_by: str
    exception: str
    currency: str
    price_version: int | None
    owner_version: int | None
    charge_count: int
    charge_quanta: int
    unpriced_part_us: int
    unobserved_part_us: int
    correction_count: int
    correction_quanta: int
    adjustment_count: int
    adjustment_quanta: int
    digest: bytes

    @property
    def cost_quanta(self) -> int:
        """Return what the period's bill comes to: its charges, corrections of earlier periods, and adjustments."""
        return self.charge_quanta + self.correction_quanta + self.adjustment_quanta


def closed_periods(session: Session) -> list[ClosedPeriod]:
    """Return all closed periods in order of time."""
    rows = session.execute("closed_periods").to_pylist()
    return [
        ClosedPeriod(**row)._replace(
            unpriced_part_us=int(row["unpriced_part_us"]), unobserved_part_us=int(row["unobserved_part_us"])
        )
        for row in rows
    ]


def period_of(closed: Sequence[ClosedPeriod], hour_us: int) -> ClosedPeriod | None:
    """Return the closed period that an hour lies in, or None where it is open."""
    return next((period for period in closed if period.from_us <= hour_us < period.to_us), None)


def all_closed(closed: Sequence[ClosedPeriod], period: Interval) -> bool:
    """Tell whether closed periods leave nothing of `period` open."""
    return not gaps([Interval(each.from_us, each.to_us) for each in closed], period)


def digest_of(session: Session, period_id: int, from_us: int, to_us: int) -> bytes:
    """Return the SHA-256 (hexadecimal) of the bill of a period as it stands: all that is on it."""
    bounds = {"period_id": period_id, "from_us": from_us, "to_us": to_us}
    digest: str = session.execute("period_digest", bounds).to_pylist()[0]["digest"]
    return digest.encode()

"""The billing periods that are closed: what each pins for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from collector.ledger.database import Session
from collector.ledger.slices import slices
from gpuledger.accounting.intervals import Interval, gaps

HourDigests = list[tuple[int, str]]

_SEPARATOR: Final = chr(30)


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
    share_version: int | None
    policy_version: int | None
    charge_count: int
    charge_quanta: int
    unpriced_part_us: int
    unobserved_part_us: int
    correction_count: int
    correction_quanta: int
    adjustment_count: int
    adjustment_quanta: int
    digest: bytes
    zone: str
    last_batch_id: int  # the newest batch that its bill knows of; 0: none

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


def charge_digests(session: Session, from_us: int, to_us: int) -> HourDigests:
    """Return the digest of every hour's charges in `[from_us, to_us)`."""
    found: HourDigests = []
    for part in slices(session, from_us, to_us):
        bounds = {"from_us": part.start_us, "to_us": part.end_us}
        rows = session.execute("period_digest_charges", bounds).to_pylist()
        found += [(row["hour_us"], row["digest"]) for row in rows]
    return found


def seal(session: Session, period_id: int, charges: HourDigests) -> bytes:
    """Return the SHA-256 (hexadecimal) of a bill: the digests of its charges, then what else is on it.

    Charges and corrections go in the order of their hours (which no two of them share), adjustments after them.
    """
    rows = session.execute("period_digest_rest", {"period_id": period_id}).to_pylist()
    corrections = [(row["hour_us"], row["digest"]) for row in rows if row["kind"] == "correction"]
    adjustments = [(row["hour_us"], row["digest"]) for row in rows if row["kind"] == "adjustment"]
    lines = [f"{hour_us}:{digest}" for hour_us, digest in [*sorted([*charges, *corrections]), *adjustments]]
    return hashlib.sha256(_SEPARATOR.join(lines).encode()).hexdigest().encode()


def digest_of(session: Session, period_id: int, from_us: int, to_us: int) -> bytes:
    """Return the digest of the bill of a period as it stands: all that is on it."""
    return seal(session, period_id, charge_digests(session, from_us, to_us))

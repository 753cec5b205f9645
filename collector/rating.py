"""Rating: the hours whose usage, prices or owners changed become charges again.

Python says which price and which owner apply, with the pure functions; one statement does the arithmetic of a pass.
Hours of a closed period keep their charges: what becomes known of them later is rated apart, with the versions that the
period was closed with, and is what corrections are made of.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.cut_usage import usage_of_segments
from collector.day_sums import forget_days
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import ClosedPeriod, closed_periods, period_of
from collector.pricing.attributes import holder_attributes
from collector.pricing.stored import (
    StoredOwners,
    StoredPrices,
    newest_owners,
    newest_prices,
    owners_of_version,
    prices_of_version,
)
from collector.rated_prices import find_rates
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.accounting.validity import segments

HOURS_PER_PASS: Final = 744  # a month of one cluster in one transaction; ingest waits for no more than one pass

_OWNER_SCHEMA: Final = pa.schema(
    [
        ("holder_id", pa.int64()),
        ("pool", pa.string()),
        ("from_us", pa.int64()),
        ("to_us", pa.int64()),
        ("owner_id", pa.int32()),
    ]
)
_NEW_OWNER_SCHEMA: Final = pa.schema([("owner_id", pa.int32()), *((name, pa.string()) for name in Owner._fields)])


class RatingReport(msgspec.Struct, frozen=True):
    """How many hours (of a cluster each) were rated, and how many charges they have now."""

    hours: int
    charges: int


class _Pass(NamedTuple):
    session: Session
    hours: pa.Table
    span: Interval  # from the first hour to the end of the last

    @property
    def first_and_last(self) -> dict[str, int]:
        return {"first_hour_us": self.span.start_us, "last_hour_us": self.span.end_us - US_PER_HOUR}


def rate_dirty(ledger: Ledger, *, hours_per_pass: int = HOURS_PER_PASS) -> RatingReport:
    """Rate every hour that waits for it, oldest first, a transaction for every `hours_per_pass` hours.

    What was committed stays rated where a later pass fails. Doing it twice changes nothing.
    """
    with ledger.transaction() as session:
        session.execute("rate_mark_moved")
        session.execute("rate_delete_lives")
        session.execute("rate_insert_lives")
    hours, charges = 0, 0
    while True:
        with ledger.transaction() as session:
            done = _rate_pass(session, hours_per_pass)
        hours, charges = hours + done.hours, charges + done.charges
        if not done.hours:
            return RatingReport(hours, charges)


def _rate_pass(session: Session, limit: int) -> RatingReport:
    waiting = session.execute("rate_pending", {"hours": limit})
    if not waiting.num_rows:
        return RatingReport(0, 0)
    pending, closed = _of_one_period(waiting, closed_periods(session))
    hours = pending["hour_us"].to_pylist()  # in ascending order
    current = _Pass(session, pending, Interval(hours[0], hours[-1] + US_PER_HOUR))
    prices, owners = _books(session, closed)
    staged = {"rate_pass": pending, "rate_owners": _owner_segments(current, owners)}
    rates = find_rates(session, pending, current.span, prices.book if prices else None)
    staged |= {"rate_prices": rates.prices, "rate_payers": rates.payers, "rate_segments": rates.segments}
    staged["rate_pieces"] = usage_of_segments(session, rates.segments, current.first_and_last)
    params = {
        **current.first_and_last,
        "price_version": prices.version.number if prices else None,
        "owner_version": owners.version.number if owners else None,
    }
    if closed:
        session.execute("rate_delete_restated", current.first_and_last, {"rate_pass": pending})
        inserted = session.insert("restated_charges", "rate_charges", params, staged)
        session.execute("rate_restate_hours", tables={"rate_pass": pending})
    else:
        forget_days(session, pending, current.first_and_last)
        session.execute("rate_delete_charges", current.first_and_last, {"rate_pass": pending})
        inserted = session.insert("charges", "rate_charges", params, staged)
    session.execute("rate_clear_hours", tables={"rate_pass": pending})
    return RatingReport(pending.num_rows, inserted)


def _of_one_period(waiting: pa.Table, closed: list[ClosedPeriod]) -> tuple[pa.Table, ClosedPeriod | None]:
    """Return the first hours of `waiting` that lie in one closed period, or in none, and which that is."""
    hours = waiting["hour_us"].to_pylist()
    first = period_of(closed, hours[0])
    count = next((at for at, hour_us in enumerate(hours) if period_of(closed, hour_us) is not first), len(hours))
    return waiting.slice(0, count), first


def _books(session: Session, closed: ClosedPeriod | None) -> tuple[StoredPrices | None, StoredOwners | None]:
    """Return the prices and owners that rate: the newest, or those that a closed period pins."""
    if closed is None:
        return newest_prices(session), newest_owners(session)
    prices, owners = closed.price_version, closed.owner_version
    return (
        None if prices is None else prices_of_version(session, prices),
        None if owners is None else owners_of_version(session, owners),
    )


def _owner_segments(current: _Pass, owners: StoredOwners | None) -> pa.Table:
    """Return who owns each holder from when until when, by pool; new owners get their ids here."""
    if owners is None:
        return _OWNER_SCHEMA.empty_table()
    ids = _OwnerIds(current.session)
    holders = current.session.execute("rate_holders", current.first_and_last, {"rate_pass": current.hours}).to_pylist()
    rows: list[dict[str, Any]] = []
    for holder in holders:
        attributes = holder_attributes(holder)
        for start_us, end_us in segments(current.span, owners.rules.dated(attributes)):
            found = owners.rules.resolve(attributes, start_us)
            if found is not None:
                rows.append(
                    {
                        "holder_id": holder["holder_id"],
                        "pool": holder["pool"],
                        "from_us": start_us,
                        "to_us": end_us,
                        "owner_id": ids.of(found.owner),
                    }
                )
    ids.store()
    return pa.Table.from_pylist(rows, schema=_OWNER_SCHEMA)


class _OwnerIds:
    """Ids of owners: those that charges know already, and new ones that are stored together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        rows = session.execute("rate_owners_known").to_pylist()
        self._ids = {Owner(*(row[name] for name in Owner._fields)): row["owner_id"] for row in rows}
        self._new: list[dict[str, Any]] = []

    def of(self, owner: Owner) -> int:
        """Return the id of `owner`."""
        if owner not in self._ids:
            self._ids[owner] = max(self._ids.values(), default=0) + 1
            self._new.append({"owner_id": self._ids[owner], **owner._asdict()})
        return int(self._ids[owner])

    def store(self) -> None:
        """Write the new ones."""
        if self._new:
            rows = pa.Table.from_pylist(self._new, schema=_NEW_OWNER_SCHEMA)
            self._session.execute("rate_insert_owners", tables={"new_owners": rows})

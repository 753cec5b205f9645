"""Prices for time that was closed without one: what it costs by today's price book, as an adjustment, once an hour.

An hour that was cut when it was closed gets its price part by part; what is said of hours here is said of parts.

The first price that an hour gets is kept: that of whoever had it, by the version that first priced it. Where late data
changes who had such an hour, pricing it again gives the difference by that version: nothing is priced twice, and
everybody pays what they had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import all_closed, closed_periods
from collector.periods.entries import EntryError, needed
from collector.periods.manual import Entry, EntryLine, keep
from collector.pricing.stored import StoredPrices, newest_prices, prices_of_version
from collector.queries.figures import money
from collector.rated_prices import machines_of
from collector.rating import rate_dirty
from gpuledger.accounting.commitments import Spell, cover
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import cost_quanta, split_cost
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.pricebook import PriceBook, Priced
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError

ROWS: Final = pa.schema([
    *((name, pa.int64()) for name in ("hour_us", "offset_us", "device_id", "owner_id", "state")),
    *((name, pa.int64()) for name in ("rate_quanta", "cost_quanta", "price_version", "price_entry")),
])  # fmt: skip
_OWNER: Final = ("organisation", "department", "team", "project", "model", "mig_profile", "state")
Row = dict[str, Any]


class _LatePrice(NamedTuple):
    price_version: int
    price_entry: int
    rate_quanta: int


def price_closed(ledger: Ledger, period: Period, *, by: str, why: str) -> int:
    """Price what the closed hours of `period` have without a price; return the number of the adjustment.

    Raises ConfigError where the period is not closed, EntryError where nothing in it waits for a price that the book
    has.
    """
    by = needed("who enters it", by, 'say who does: --by NAME, or "by"')
    why = needed("the reason", why, 'say why: --why TEXT, or "why"; it stands on the bill')
    require_hours(period)
    rate_dirty(ledger)
    with ledger.transaction() as session:
        if not all_closed(closed_periods(session), period.interval):
            raise ConfigError(
                f"{period.label} is not closed", hint="import its prices: what is open is rated again with them"
            )
        prices = newest_prices(session)
        rows = list(_priced(session, period, prices)) if prices else []
        if not prices or not rows:
            raise EntryError(
                f"nothing in {period.label} waits for a price that the price book has",
                hint="import a price book with an entry for it: gpuledger price import FILE",
            )
        hours = [row["hour_us"] for row in rows]
        span = (min(hours), max(hours) + US_PER_HOUR)
        lines = _lines(rows, f"{by}: {why}", period.label)
        about = f", price version {prices.version.number}"
        entry = Entry(by, why, span, lines)
        manual_id = keep(session, entry, ledger.now_us(), act="adjustment.price", about=about)
        table = pa.Table.from_pylist([{name: row[name] for name in ROWS.names} for row in rows], schema=ROWS)
        session.execute("late_price_insert", {"manual_id": manual_id}, {"new_late_prices": table})
    return manual_id


def _priced(session: Session, period: Period, prices: StoredPrices) -> Iterator[Row]:
    """Yield what each owner and state of a part of an hour costs, less what earlier adjustments made of it."""
    bounds = {"from_us": period.start_us, "to_us": period.end_us}
    before = _by_segment(session.execute("late_price_known", bounds).to_pylist())
    now = _by_segment(session.execute("late_price_hours", bounds).to_pylist())
    books = _Books(session, period.interval)
    for segment in dict.fromkeys([*now, *before]):
        rows, known = now.get(segment, []), before.get(segment, [])
        by_price: defaultdict[_LatePrice, list[Row]] = defaultdict(list)
        first = _first_prices(known)
        for row in rows:
            price = first.get(row["owner_id"]) or _price(books, known, prices.version.number, row)
            if price:
                by_price[price].append(row)
        costs = [row for price, same in by_price.items() for row in _costs(price, same)]
        yield from _differences(costs, known)


def _costs(price: _LatePrice, rows: list[Row]) -> Iterator[Row]:
    """Yield what rows of one price in a part of an hour cost: rounded once, and split by held time."""
    held = [row["held_us"] for row in rows]
    whole = cost_quanta(price.rate_quanta, sum(held))
    for row, cost in zip(rows, split_cost(whole, held), strict=True):
        yield {**row, **price._asdict(), "cost_quanta": cost}


def _differences(now: list[Row], known: list[Row]) -> Iterator[Row]:
    found: dict[tuple[int | None, int], Row] = {}
    for row in now:
        found[row["owner_id"], row["state"]] = {**row, "part_us": 0 if known else row["held_us"] * row["parts"]}
    for row in known:
        mine = found.setdefault((row["owner_id"], row["state"]), {**row, "part_us": 0, "cost_quanta": 0})
        mine["cost_quanta"] -= row["cost_quanta"]
    for row in found.values():
        if row["cost_quanta"] or row["part_us"]:
            yield row


def _first_prices(known: list[Row]) -> dict[int | None, _LatePrice]:
    return {row["owner_id"]: _LatePrice(*(row[name] for name in _LatePrice._fields)) for row in known}


def _price(books: _Books, known: list[Row], newest: int, row: Row) -> _LatePrice | None:
    """Return what the version says that first priced this time, and where that says nothing, the newest."""
    versions = [*(each["price_version"] for each in known[:1]), newest]
    return next((price for version in versions if (price := books.price(version, row))), None)


class _Books:
    """Versions of the price book with what their contracts cover within a time."""

    def __init__(self, session: Session, whole: Interval) -> None:
        self._session, self._whole = session, whole
        self._books: dict[int, tuple[PriceBook, Mapping[Hashable, Sequence[Spell]]]] = {}

    def price(self, version: int, row: Row) -> _LatePrice | None:
        """Return what a version says at the beginning of a part of an hour, for whoever had the device."""
        book, spells = self._book(version)
        at_us = row["hour_us"] + row["offset_us"]
        covered = spells.get(row["device_id"], ())
        contract = next((spell.contract for spell in covered if spell.start_us <= at_us < spell.end_us), "")
        asked = Priced(**{name: row[name] for name in Priced._fields})
        owner = None if row["owner_id"] is None else Owner(**{name: row[name] for name in Owner._fields})
        found = book.price(asked, at_us, owner, contract)
        return _LatePrice(version, found.entry, found.rate_quanta) if found else None

    def _book(self, version: int) -> tuple[PriceBook, Mapping[Hashable, Sequence[Spell]]]:
        if version not in self._books:
            book = prices_of_version(self._session, version).book
            machines = machines_of(self._session, self._whole) if book.contracts else []
            self._books[version] = (book, cover(book.contracts, machines, self._whole).spells)
        return self._books[version]


def _lines(rows: list[Row], who: str, label: str) -> list[EntryLine]:
    """Return a line for each owner, GPU, state and price."""
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        key = (*(row[name] for name in _OWNER), row["price_version"], row["price_entry"], row["rate_quanta"])
        sums[key][0] += row["cost_quanta"]
        sums[key][1] += row["part_us"]
    return [
        EntryLine(
            because=f"{label} was closed without a price; {money(rate)} an hour by entry {entry + 1} of version"
            f" {version} of the price book ({who})",
            cost_quanta=cost,
            part_us=part_us,
            **dict(zip(_OWNER, owner, strict=True)),
        )
        for (*owner, version, entry, rate), (cost, part_us) in sorted(sums.items(), key=lambda item: item[0])
    ]


def _by_segment(rows: list[Row]) -> dict[tuple[int, int, int], list[Row]]:
    found: defaultdict[tuple[int, int, int], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["hour_us"], row["offset_us"], row["device_id"]].append(row)
    return dict(found)

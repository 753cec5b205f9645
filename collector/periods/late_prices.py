"""Prices for time that was closed without one: what it costs by today's price book, as an adjustment, once an hour.

The first price that an hour gets is kept. Where late data changes who had such an hour, pricing it again gives the
difference at that price: nothing is priced twice, and everybody pays what they had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import all_closed, closed_periods
from collector.periods.entries import EntryError, needed
from collector.periods.manual import Entry, EntryLine, keep
from collector.pricing.stored import StoredPrices, newest_prices
from collector.queries.figures import money
from collector.rating import rate_dirty
from gpuledger.accounting.money import cost_quanta, split_cost
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.pricebook import Priced
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError

ROWS: Final = pa.schema([
    *((name, pa.int64()) for name in ("hour_us", "device_id", "owner_id", "state", "rate_quanta", "cost_quanta")),
    ("price_version", pa.int64()),
    ("price_entry", pa.int64()),
])  # fmt: skip
_OWNER: Final = ("organisation", "department", "team", "project", "model", "mig_profile", "state")
Row = dict[str, Any]


class _LatePrice(NamedTuple):
    version: int
    entry: int
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
        manual_id = keep(
            session, Entry(by, why, span, lines), ledger.now_us(), f", price version {prices.version.number}"
        )
        table = pa.Table.from_pylist([{name: row[name] for name in ROWS.names} for row in rows], schema=ROWS)
        session.execute("late_price_insert", {"manual_id": manual_id}, {"new_late_prices": table})
    return manual_id


def _priced(session: Session, period: Period, prices: StoredPrices) -> Iterator[Row]:
    """Yield what each owner and state of an hour costs, less what earlier adjustments made of it."""
    bounds = {"from_us": period.start_us, "to_us": period.end_us}
    before = _by_hour(session.execute("late_price_known", bounds).to_pylist())
    for key, group in groupby(session.execute("late_price_hours", bounds).to_pylist(), _hour):
        rows, known = list(group), before.get(key, [])
        price = _first_price(known) or _price(prices, rows[0])
        if price is None:
            continue
        whole = cost_quanta(price.rate_quanta, sum(row["held_us"] for row in rows))
        now = split_cost(whole, [row["held_us"] for row in rows])
        yield from _differences(
            price, [{**row, "cost_quanta": cost} for row, cost in zip(rows, now, strict=True)], known
        )


def _differences(price: _LatePrice, now: list[Row], known: list[Row]) -> Iterator[Row]:
    found: dict[tuple[int | None, int], Row] = {}
    for row in now:
        found[row["owner_id"], row["state"]] = {**row, "part_us": 0 if known else row["held_us"] * row["parts"]}
    for row in known:
        mine = found.setdefault((row["owner_id"], row["state"]), {**row, "part_us": 0, "cost_quanta": 0})
        mine["cost_quanta"] -= row["cost_quanta"]
    for row in found.values():
        if row["cost_quanta"] or row["part_us"]:
            row |= {"price_version": price.version, "price_entry": price.entry, "rate_quanta": price.rate_quanta}
            yield row


def _first_price(known: list[Row]) -> _LatePrice | None:
    if not known:
        return None
    return _LatePrice(known[0]["price_version"], known[0]["price_entry"], known[0]["rate_quanta"])


def _price(prices: StoredPrices, row: Row) -> _LatePrice | None:
    found = prices.book.price(Priced(**{name: row[name] for name in Priced._fields}), row["hour_us"])
    return _LatePrice(prices.version.number, found.entry, found.rate_quanta) if found else None


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


def _by_hour(rows: list[Row]) -> dict[tuple[int, int], list[Row]]:
    found: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        found[_hour(row)].append(row)
    return found


def _hour(row: Row) -> tuple[int, int]:
    return row["hour_us"], row["device_id"]

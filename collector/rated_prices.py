"""Which price applies to devices in a rating pass, from when until when and for whom, and where their hours are cut.

An hour is cut for one device where an entry that speaks of it begins or ends, or where a contract that has prices for
it begins or ends to cover it. That follows from the price book and the lives of devices alone, whoever holds them.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session
from gpuledger.accounting.commitments import Machine, Spell, cover
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.pricebook import PriceBook, Priced, applies, is_for
from gpuledger.accounting.turns import cut_at
from gpuledger.accounting.units import US_PER_HOUR

EVERYBODY: Final = 0  # the payer that has no price of its own
PRICE_SCHEMA: Final = pa.schema(
    [(name, pa.int64()) for name in ("device_id", "payer", "from_us", "to_us", "price_entry", "rate_quanta")]
)
PAYER_SCHEMA: Final = pa.schema([("owner_id", pa.int32()), ("payer", pa.int64())])
SEGMENT_SCHEMA: Final = pa.schema(
    [(name, pa.int64()) for name in ("device_id", "hour_us", "offset_us", "start_us", "end_us")]
)


class Rates(NamedTuple):
    """What a pass is priced with: rates by device and payer, the payer of each owner, and the segments of cut hours."""

    prices: pa.Table
    payers: pa.Table
    segments: pa.Table


class _Sold(NamedTuple):
    """A device, and when which contracts cover it that have prices for it."""

    device_id: int
    asked: Priced
    spells: tuple[Spell, ...]

    def contract_at(self, at_us: int) -> str:
        """Return the contract that covers it; empty where none does."""
        return next((spell.contract for spell in self.spells if spell.start_us <= at_us < spell.end_us), "")


_Segment = tuple[int, int, int, int]  # from, until, price entry, rate


def find_rates(session: Session, hours: pa.Table, span: Interval, book: PriceBook | None) -> Rates:
    """Return the rates of the hours to be rated, which lie in `span`; unpriced time has no row."""
    if book is None:
        return Rates(PRICE_SCHEMA.empty_table(), PAYER_SCHEMA.empty_table(), SEGMENT_SCHEMA.empty_table())
    rows = session.execute("rate_devices", tables={"rate_pass": hours}).to_pylist()
    bounds = sorted({at for entry in book.entries for at in entry.validity if at is not None})
    sold = [_Sold(row["device_id"], Priced(**{name: row[name] for name in Priced._fields}), ()) for row in rows]
    turns: dict[int, set[int]] = {}
    if any(entry.contract for entry in book.entries):
        machines = machines_of(session, span)
        lives = {machine.device: machine.lives for machine in machines}
        spells = cover(book.contracts, machines, span).spells
        sold = [_covered(book, device, spells.get(device.device_id, [])) for device in sold]
        turns = {device.device_id: _contract_turns(device, lives) for device in sold if device.spells}
    if any(at % US_PER_HOUR for at in bounds):
        known: dict[tuple[Priced, tuple[Spell, ...]], set[int]] = {}
        for device in sold:
            key = (device.asked, device.spells)
            if key not in known:
                known[key] = _entry_turns(book, device)
            turns[device.device_id] = turns.get(device.device_id, set()) | known[key]
    payers, owners = _payers(session, book)
    clusters = {row["device_id"]: row["cluster"] for row in rows}
    return Rates(_price_rows(book, sold, owners, cut_at(span, bounds)), payers, _segment_rows(turns, hours, clusters))


def machines_of(session: Session, span: Interval) -> list[Machine]:
    """Return the devices that existed within `span`, as contracts look at them; pools without a size are left out."""
    rows = session.execute("rate_machines", {"from_us": span.start_us, "to_us": span.end_us}).to_pylist()
    found: list[Machine] = []
    for _, lives in itertools.groupby(rows, key=itemgetter("device_id")):
        each = list(lives)
        row = each[0]
        found.append(
            Machine(
                device=row["device_id"],
                **{name: row[name] for name in ("device_key", "node", "cluster", "pool", "model", "mig_profile")},
                size=row["parts"] * row["capacity_units"],
                lives=tuple(Interval(life["from_us"], life["until_us"]) for life in each),
            )
        )
    return found


def _covered(book: PriceBook, device: _Sold, spells: Sequence[Spell]) -> _Sold:
    """Add when a device is covered by contracts that have prices for it."""
    if not spells:
        return device
    priced = {entry.contract for entry in book.entries if entry.contract and applies(entry, device.asked)}
    return device._replace(spells=tuple(spell for spell in spells if spell.contract in priced))


def _contract_turns(device: _Sold, lives: dict[Hashable, tuple[Interval, ...]]) -> set[int]:
    """Return where contracts begin and end to cover a device, but for the ends of its lives: nothing follows."""
    ends = {life.end_us for life in lives[device.device_id]}
    return {spell.start_us for spell in device.spells} | {spell.end_us for spell in device.spells} - ends


def _entry_turns(book: PriceBook, device: _Sold) -> set[int]:
    """Return where entries that speak of a device begin or end; those of a contract only while that covers it."""
    return {
        at
        for entry in book.entries
        if applies(entry, device.asked)
        for at in entry.validity
        if at is not None and entry.contract in ("", device.contract_at(at - 1), device.contract_at(at))
    }


def _payers(session: Session, book: PriceBook) -> tuple[pa.Table, list[Owner | None]]:
    """Return the payer of each owner that has prices of its own, and one owner to ask the book about for each payer.

    Owners for whom the same entries of owners apply are one payer.
    """
    asked: list[Owner | None] = [None]
    if not book.owners:
        return PAYER_SCHEMA.empty_table(), asked
    numbers: dict[frozenset[Owner], int] = {frozenset(): EVERYBODY}
    rows = []
    for row in session.execute("rate_owners_known").to_pylist():
        owner = Owner(*(row[name] for name in Owner._fields))
        met = frozenset(wanted for wanted in book.owners if is_for(wanted, owner))
        if met not in numbers:
            numbers[met] = len(numbers)
            asked.append(owner)
        rows.append({"owner_id": row["owner_id"], "payer": numbers[met]})
    return pa.Table.from_pylist(rows, schema=PAYER_SCHEMA), asked


def _price_rows(
    book: PriceBook, sold: Sequence[_Sold], owners: Sequence[Owner | None], pieces: Sequence[Interval]
) -> pa.Table:
    columns: list[list[int]] = [[] for _ in PRICE_SCHEMA]
    known: dict[tuple[Priced, int], list[_Segment]] = {}  # devices that no contract covers differ in nothing else
    for device in sold:
        for payer, owner in enumerate(owners):
            key = (device.asked, payer)
            if device.spells:
                segments = _segments(book, device, owner, pieces)
            else:
                if key not in known:
                    known[key] = _segments(book, device, owner, pieces)
                segments = known[key]
            for segment in segments:
                for column, value in zip(columns, (device.device_id, payer, *segment), strict=True):
                    column.append(value)
    return pa.table(columns, schema=PRICE_SCHEMA)


def _segments(book: PriceBook, device: _Sold, owner: Owner | None, pieces: Sequence[Interval]) -> list[_Segment]:
    """Return a device's rates in order of time; pieces that follow each other at one price are one segment."""
    found: list[_Segment] = []
    edges = [at for spell in device.spells for at in spell[:2]]
    for piece in itertools.chain.from_iterable(cut_at(piece, edges) for piece in pieces):
        price = book.price(device.asked, piece.start_us, owner, device.contract_at(piece.start_us))
        if price is None:
            continue
        rate = (price.entry, price.rate_quanta)
        if found and found[-1][1] == piece.start_us and found[-1][2:] == rate:
            found[-1] = (found[-1][0], piece.end_us, *rate)
        else:
            found.append((*piece, *rate))
    return found


def _segment_rows(turns: dict[int, set[int]], hours: pa.Table, clusters: dict[int, str]) -> pa.Table:
    """Return the segments of the hours that lie in the pass and that a device's turns cut."""
    wanted = set(zip(hours["cluster"].to_pylist(), hours["hour_us"].to_pylist(), strict=True))
    rows = [
        {
            "device_id": device_id,
            "hour_us": hour_us,
            "offset_us": start_us - hour_us,
            "start_us": start_us,
            "end_us": end_us,
        }
        for device_id, at in turns.items()
        for hour_us in sorted({each // US_PER_HOUR * US_PER_HOUR for each in at if each % US_PER_HOUR})
        if (clusters[device_id], hour_us) in wanted
        for start_us, end_us in cut_at(Interval(hour_us, hour_us + US_PER_HOUR), at)
    ]
    return pa.Table.from_pylist(rows, schema=SEGMENT_SCHEMA)

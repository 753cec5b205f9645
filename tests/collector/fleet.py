"""Ledgers for tests of money: opened on a real file, filled by batches, priced and rated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.ledger.store import Ledger
from collector.pricing.files import parse_price_book
from collector.pricing.imports import import_owners, import_prices
from collector.queries.scope import scope_params
from gpuledger.accounting.pricebook import PriceBook
from gpuledger.clock import VirtualClock
from gpuledger.model import Device, Holder, UsageRecord
from gpuledger.wire import BoardEnergy
from gpuledger.within import EVERYTHING
from tests.collector.batches import START_US, frame

NOW_US = START_US + 400 * 86_400_000_000


def open_ledger(directory: Path) -> Ledger:
    """Open a ledger whose clock stands after everything that tests send."""
    return Ledger.open(directory, clock=VirtualClock(NOW_US))


def usage_frame(
    sequence: int,
    usage: Sequence[UsageRecord],
    devices: Sequence[Device],
    holders: Sequence[Holder] = (),
    **options: object,
) -> bytes:
    """Return the frame of a batch whose boards may have several devices; of `holders` it lists those that it names."""
    boards = {device.key: device.board or device.key for device in devices}
    energy: dict[str, int] = {}
    for r in usage:
        energy[boards[r.device]] = energy.get(boards[r.device], 0) + (r.energy_mj or 0)
    named = {r.holder for r in usage}
    stated = tuple(BoardEnergy(board, total) for board, total in sorted(energy.items()))
    chosen = [holder for holder in holders if holder.key in named]
    return frame(sequence, usage, devices=devices, holders=chosen, energy=stated, **options)


def prices(ledger: Ledger, text: str, at_us: int = NOW_US) -> PriceBook:
    """Import a price book and return it."""
    import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=at_us)
    return parse_price_book(text.encode(), "toml", "prices.toml")


def owners(ledger: Ledger, text: str, at_us: int = NOW_US) -> None:
    """Import an owner mapping."""
    import_owners(ledger, text.encode(), "toml", source="owners.toml", imported_us=at_us)


def charges(ledger: Ledger) -> list[dict[str, Any]]:
    """Return all charges with names in the place of keys."""
    params = {"from_us": 0, "to_us": NOW_US, "device": "", "max_rows": 1_000_000, "skipped_rows": 0}
    rows: list[dict[str, Any]] = ledger.execute("query_charges", params | scope_params(EVERYTHING)).to_pylist()
    return rows

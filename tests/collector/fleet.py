"""Ledgers for tests of money: opened on a real file, filled by batches, priced and rated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collector.ledger.store import Ledger
from collector.pricing.files import parse_price_book
from collector.pricing.imports import import_owners, import_prices
from gpuledger.accounting.pricebook import PriceBook
from gpuledger.clock import VirtualClock
from tests.collector.batches import START_US

NOW_US = START_US + 400 * 86_400_000_000


def open_ledger(directory: Path) -> Ledger:
    """Open a ledger whose clock stands after everything that tests send."""
    return Ledger.open(directory, clock=VirtualClock(NOW_US))


def prices(ledger: Ledger, text: str) -> PriceBook:
    """Import a price book and return it."""
    import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=NOW_US)
    return parse_price_book(text.encode(), "toml", "prices.toml")


def owners(ledger: Ledger, text: str) -> None:
    """Import an owner mapping."""
    import_owners(ledger, text.encode(), "toml", source="owners.toml", imported_us=NOW_US)


def charges(ledger: Ledger) -> list[dict[str, Any]]:
    """Return all charges with names in the place of keys."""
    with ledger.snapshot() as session:
        return session.script(_CHARGES, None, None, label="charges").to_pylist()


_CHARGES = """
SELECT c.*, d.device_key, h.holder_key, r.reason, o.team
FROM charges c JOIN devices d USING (device_id) LEFT JOIN holders h USING (holder_id)
LEFT JOIN reasons r USING (reason_id) LEFT JOIN owners o USING (owner_id)
ORDER BY c.hour_us, d.device_key, h.holder_key, c.state, r.reason
"""

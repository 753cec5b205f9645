"""The price book and the owner mapping that open hours are rated with."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.pricing.stored import Version, newest_owners, newest_prices
from collector.queries.figures import instant, money
from gpuledger.accounting.periods import iso


class PriceRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One price entry, numbered from 1 as in its file."""

    entry: int
    model: str
    mig_profile: str
    pool: str
    cluster: str
    rate: str
    carbon_g_per_kwh: str | None
    from_: str | None
    to: str | None


class Prices(msgspec.Struct, frozen=True):
    """The newest price book; without one, no version and no rows."""

    version: int | None
    currency: str | None
    imported_at: str | None
    source: str | None
    rows: list[PriceRow]


class OwnerRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One owner rule, numbered from 1 as in its file; the first that matches wins."""

    rule: int
    organisation: str
    department: str
    team: str
    project: str
    match: dict[str, str]
    from_: str | None
    to: str | None


class Owners(msgspec.Struct, frozen=True):
    """The newest owner mapping; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    rows: list[OwnerRow]


def prices(ledger: Ledger) -> Prices:
    """Return the newest price book."""
    with ledger.snapshot() as session:
        stored = newest_prices(session)
    if stored is None:
        return Prices(None, None, None, None, [])
    rows = [
        PriceRow(
            entry=number,
            model=entry.model,
            mig_profile=entry.mig_profile,
            pool=entry.pool,
            cluster=entry.cluster,
            rate=money(entry.rate_quanta) or "",
            carbon_g_per_kwh=None if entry.carbon_g_per_kwh is None else f"{entry.carbon_g_per_kwh.normalize():f}",
            from_=instant(entry.from_us),
            to=instant(entry.to_us),
        )
        for number, entry in enumerate(stored.book.entries, 1)
    ]
    version = stored.version
    return Prices(version.number, stored.book.currency, iso(version.imported_us), version.source, rows)


def owners(ledger: Ledger) -> Owners:
    """Return the newest owner mapping."""
    with ledger.snapshot() as session:
        stored = newest_owners(session)
    if stored is None:
        return Owners(None, None, None, [])
    rows = [
        OwnerRow(
            rule=number,
            **rule.owner._asdict(),
            match=dict(rule.match),
            from_=instant(rule.from_us),
            to=instant(rule.to_us),
        )
        for number, rule in enumerate(stored.rules.rules, 1)
    ]
    version: Version = stored.version
    return Owners(version.number, iso(version.imported_us), version.source, rows)

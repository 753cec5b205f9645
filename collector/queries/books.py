"""The price book, the owner mapping and the directory of people that open hours are rated with."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from collector.ledger.store import Ledger
from collector.pricing.stored import NOT_YOURS, Version, newest_directory, newest_owners, newest_prices
from collector.queries.figures import instant, money
from gpuledger.accounting.periods import iso
from gpuledger.accounting.pricebook import PriceEntry
from gpuledger.accounting.terms import RateTerms, plain


class PriceRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One price entry, numbered from 1 as in its file. `rate` is charged, `list_rate` is before the discount.

    `currency` is the entry's own, where it is not the book's; `built` says in words what the rate follows from.
    """

    entry: int
    model: str
    mig_profile: str
    pool: str
    cluster: str
    organisation: str
    department: str
    team: str
    project: str
    contract: str
    rate: str
    list_rate: str
    discount_percent: str | None
    currency: str | None
    exchange_rate: str | None
    exchange_source: str
    exchange_date: str
    built: list[str]
    carbon_g_per_kwh: str | None
    carbon_region: str
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


class DirectoryRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One membership, in the order of its file."""

    user: str
    team: str
    department: str
    from_: str | None
    to: str | None


class People(msgspec.Struct, frozen=True):
    """The newest directory of people; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    rows: list[DirectoryRow]


class CarbonRegion(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One region's known carbon intensity: from when until when, in how many hours, and its values (g/kWh)."""

    region: str
    from_: str
    to: str
    hours: int
    mean_g_per_kwh: str
    least_g_per_kwh: str
    most_g_per_kwh: str


class Carbon(msgspec.Struct, frozen=True):
    """All regions whose carbon intensity is known by the hour."""

    rows: list[CarbonRegion]


def carbon(ledger: Ledger) -> Carbon:
    """Return the regions whose carbon intensity was imported."""
    rows = ledger.execute("carbon_regions").to_pylist()
    values = ("mean_g_per_kwh", "least_g_per_kwh", "most_g_per_kwh")
    return Carbon(
        [
            CarbonRegion(
                row["region"], iso(row["from_us"]), iso(row["to_us"]), row["hours"], *(plain(row[v]) for v in values)
            )
            for row in rows
        ]
    )


def prices(ledger: Ledger) -> Prices:
    """Return the newest price book."""
    with ledger.snapshot() as session:
        stored = newest_prices(session)
    if stored is None:
        return Prices(None, None, None, None, [])
    seen = [(number, entry) for number, entry in enumerate(stored.book.entries, 1) if entry.model != NOT_YOURS]
    rows = [_price_row(number, entry) for number, entry in seen]
    version = stored.version
    return Prices(version.number, stored.book.currency, iso(version.imported_us), version.source, rows)


def _price_row(number: int, entry: PriceEntry) -> PriceRow:
    terms = entry.terms or RateTerms()
    return PriceRow(
        entry=number,
        model=entry.model,
        mig_profile=entry.mig_profile,
        pool=entry.pool,
        cluster=entry.cluster,
        **entry.owner._asdict(),
        contract=entry.contract,
        rate=money(entry.rate_quanta) or "",
        list_rate=money(entry.list_quanta) or "",
        discount_percent=_plain(terms.discount_percent),
        currency=terms.currency or None,
        exchange_rate=_plain(terms.exchange_rate),
        exchange_source=terms.exchange_source,
        exchange_date=terms.exchange_date,
        built=terms.explain(),
        carbon_g_per_kwh=_plain(entry.carbon_g_per_kwh),
        carbon_region=entry.carbon_region,
        from_=instant(entry.from_us),
        to=instant(entry.to_us),
    )


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


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


def directory(ledger: Ledger) -> People:
    """Return the newest directory of people."""
    with ledger.snapshot() as session:
        stored = newest_directory(session)
    if stored is None:
        return People(None, None, None, [])
    rows = [
        DirectoryRow(place.user, place.team, place.department, instant(place.from_us), instant(place.to_us))
        for place in stored.directory.memberships
    ]
    version = stored.version
    return People(version.number, iso(version.imported_us), version.source, rows)

"""The price book and the owner mapping as the ledger keeps them, in versions."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.pricing.stored_contracts import stored_contract
from gpuledger.accounting.directory import Directory, Membership
from gpuledger.accounting.ownership import OWNER_FIELDS, Owner, OwnerMap, OwnerRule
from gpuledger.accounting.pricebook import PriceBook, PriceEntry
from gpuledger.accounting.terms import RateTerms
from gpuledger.errors import LedgerError

_ENTRY_SCHEMA: Final = pa.schema(
    [
        ("entry", pa.int32()),
        ("cluster", pa.string()),
        ("pool", pa.string()),
        ("model", pa.string()),
        ("mig_profile", pa.string()),
        ("rate_quanta", pa.int64()),
        ("carbon_g_per_kwh", pa.decimal128(18, 6)),
        ("from_us", pa.int64()),
        ("to_us", pa.int64()),
        ("list_rate_quanta", pa.int64()),
        ("stated_rate", pa.decimal128(18, 9)),
        ("capital_cost", pa.decimal128(18, 9)),
        ("depreciation_months", pa.int32()),
        ("energy_price_per_kwh", pa.decimal128(18, 9)),
        ("pue", pa.decimal128(18, 9)),
        ("power_w", pa.decimal128(18, 9)),
        ("overhead_per_hour", pa.decimal128(18, 9)),
        ("overhead_percent", pa.decimal128(18, 9)),
        ("discount_percent", pa.decimal128(18, 9)),
        ("currency", pa.string()),
        ("exchange_rate", pa.decimal128(28, 12)),
        ("exchange_source", pa.string()),
        ("exchange_date", pa.string()),
        ("carbon_region", pa.string()),
        *((name, pa.string()) for name in (*OWNER_FIELDS, "contract")),
    ]
)
NOT_YOURS: Final = "(not yours)"  # the model of an entry whose place alone is seen: collector/ledger/scope.sql
_NO_TERMS: Final = RateTerms()
_SCOPE: Final = tuple(name for name in PriceEntry._fields if name != "terms")
_RULE_SCHEMA: Final = pa.schema(
    [
        ("rule", pa.int32()),
        ("organisation", pa.string()),
        ("department", pa.string()),
        ("team", pa.string()),
        ("project", pa.string()),
        ("matches", pa.string()),
        ("from_us", pa.int64()),
        ("to_us", pa.int64()),
    ]
)
_MEMBERSHIP_SCHEMA: Final = pa.schema(
    [
        ("entry", pa.int32()),
        ("user_name", pa.string()),
        ("team", pa.string()),
        ("department", pa.string()),
        ("from_us", pa.int64()),
        ("to_us", pa.int64()),
    ]
)


class Version(NamedTuple):
    """One import: its number, when and from what it was made, and the digest of the file."""

    number: int
    imported_us: int
    source: str
    digest: bytes


class StoredPrices(NamedTuple):
    """A version of the price book."""

    version: Version
    book: PriceBook


class StoredOwners(NamedTuple):
    """A version of the owner mapping: its rules, and the version of the directory that they ask, where there is one."""

    version: Version
    rules: OwnerMap
    directory_version: int | None = None


class StoredDirectory(NamedTuple):
    """A version of the directory of people."""

    version: Version
    directory: Directory


def newest_prices(session: Session) -> StoredPrices | None:
    """Return the price book that open hours are rated with; None before the first import."""
    newest = session.execute("price_newest").to_pylist()
    if not newest:
        return None
    return _stored_prices(session, newest[0])


def prices_of_version(session: Session, version: int) -> StoredPrices:
    """Return an older price book, which charges still pin. Raises LedgerError where there is none of that number."""
    found = session.execute("price_version", {"price_version": version}).to_pylist()
    if not found:
        raise LedgerError(f"the ledger has no price book of version {version}")
    return _stored_prices(session, found[0])


def newest_owners(session: Session) -> StoredOwners | None:
    """Return the owner mapping that open hours are rated with; None before the first import."""
    newest = session.execute("owner_newest").to_pylist()
    return _stored_owners(session, newest[0]) if newest else None


def owners_of_version(session: Session, version: int) -> StoredOwners:
    """Return an older owner mapping, which a closed period still pins. Raises LedgerError where there is none such."""
    found = session.execute("owner_version", {"owner_version": version}).to_pylist()
    if not found:
        raise LedgerError(f"the ledger has no owner mapping of version {version}")
    return _stored_owners(session, found[0])


def _stored_owners(session: Session, found: dict[str, Any]) -> StoredOwners:
    version = _version(found, "owner_version")
    rows = session.execute("owner_rules", {"owner_version": version.number}).to_pylist()
    of_people = found["directory_version"]
    directory = None if of_people is None else _memberships(session, of_people)
    return StoredOwners(version, OwnerMap([_rule(row) for row in rows], directory), of_people)


def newest_directory(session: Session) -> StoredDirectory | None:
    """Return the directory that was imported last; None before the first import."""
    newest = session.execute("directory_newest").to_pylist()
    if not newest:
        return None
    version = _version(newest[0], "directory_version")
    return StoredDirectory(version, _memberships(session, version.number))


def membership_rows(directory: Directory) -> pa.Table:
    """Return the memberships of a directory as rows to insert."""
    rows = [
        dict(zip(_MEMBERSHIP_SCHEMA.names, (number, *place), strict=True))
        for number, place in enumerate(directory.memberships)
    ]
    return pa.Table.from_pylist(rows, schema=_MEMBERSHIP_SCHEMA)


def _memberships(session: Session, version: int) -> Directory:
    rows = session.execute("directory_entries", {"directory_version": version}).to_pylist()
    return Directory([Membership(*(row[name] for name in _MEMBERSHIP_SCHEMA.names[1:])) for row in rows])


def entry_rows(book: PriceBook) -> pa.Table:
    """Return the entries of a price book as rows to insert."""
    rows = [
        {"entry": number, **(entry.terms or _NO_TERMS)._asdict(), **{name: getattr(entry, name) for name in _SCOPE}}
        for number, entry in enumerate(book.entries)
    ]
    return pa.Table.from_pylist(rows, schema=_ENTRY_SCHEMA)


def rule_rows(owner_map: OwnerMap) -> pa.Table:
    """Return the rules of an owner mapping as rows to insert."""
    rows = [
        {
            "rule": number,
            **rule.owner._asdict(),
            "matches": msgspec.json.encode(rule.match).decode(),
            "from_us": rule.from_us,
            "to_us": rule.to_us,
        }
        for number, rule in enumerate(owner_map.rules)
    ]
    return pa.Table.from_pylist(rows, schema=_RULE_SCHEMA)


def _stored_prices(session: Session, found: dict[str, Any]) -> StoredPrices:
    version = _version(found, "price_version")
    rows = session.execute("price_entries", {"price_version": version.number}).to_pylist()
    contracts = session.execute("price_contracts", {"price_version": version.number}).to_pylist()
    entries = [_entry(row) for row in rows]
    return StoredPrices(version, PriceBook(found["currency"], entries, [stored_contract(row) for row in contracts]))


def _entry(row: dict[str, Any]) -> PriceEntry:
    """Return an entry as it was imported. One without terms has none of their columns, as those of older ledgers."""
    stated = RateTerms(**{name: row[name] for name in RateTerms._fields})
    return PriceEntry(**{name: row[name] for name in _SCOPE}, terms=None if stated == _NO_TERMS else stated)


def _version(row: dict[str, Any], name: str) -> Version:
    return Version(row[name], row["imported_us"], row["source"], row["digest"])


def _rule(row: dict[str, Any]) -> OwnerRule:
    owner = Owner(*(row[name] for name in Owner._fields))
    match = msgspec.json.decode(row["matches"], type=tuple[tuple[str, str], ...])
    return OwnerRule(owner, match, row["from_us"], row["to_us"])

"""Import of a price book or an owner mapping: one new version in one transaction, and the hours that it changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.pricing.files import parse_owner_map, parse_price_book
from collector.pricing.most import require_countable
from collector.pricing.people import parse_directory
from collector.pricing.records import FileFormat
from collector.pricing.stored import (
    entry_rows,
    membership_rows,
    newest_directory,
    newest_owners,
    newest_prices,
    rule_rows,
)
from collector.pricing.stored_contracts import contract_rows
from collector.pricing.warnings import owner_warnings, price_warnings
from gpuledger.accounting.ownership import OwnerMap
from gpuledger.accounting.pricebook import PriceBook
from gpuledger.accounting.validity import Validity, changed
from gpuledger.errors import OwnerMappingError, PriceBookError

_EVER: Final = Validity(0, 2**62)


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did. `changed` is false where the file is the one that was imported last.

    `warnings` say what may be a mistake, by what the ledger has seen: the file was imported nevertheless.
    """

    version: int
    entries: int
    changed: bool
    warnings: list[str] = msgspec.field(default_factory=list)


def import_prices(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a price file as the whole new book, and mark the hours whose prices it changes.

    Raises PriceBookError where the file cannot be used; then nothing is stored.
    """
    book = parse_price_book(content, as_format, source)
    report = _store_prices(ledger, book, content, source=source, imported_us=imported_us)
    with ledger.snapshot() as session:
        return msgspec.structs.replace(report, warnings=price_warnings(session, book))


def _store_prices(ledger: Ledger, book: PriceBook, content: bytes, *, source: str, imported_us: int) -> ImportReport:
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        newest = newest_prices(session)
        if newest and newest.version.digest == digest:
            return ImportReport(newest.version.number, len(book.entries), changed=False)
        if newest and newest.book.currency != book.currency:
            raise PriceBookError(
                f"{source}: the ledger counts in {newest.book.currency}, this price book in {book.currency}",
                hint=f"convert the rates to {newest.book.currency}, or start another ledger for {book.currency}",
            )
        require_countable(session, book, source)
        number = newest.version.number + 1 if newest else 1
        facts = {
            "price_version": number,
            "imported_us": imported_us,
            "source": source,
            "digest": digest,
            "currency": book.currency,
            "content": content.decode("utf-8-sig"),
        }
        session.execute("price_insert_book", facts)
        session.execute("price_insert_entries", {"price_version": number}, {"new_entries": entry_rows(book)})
        session.execute(
            "price_insert_contracts", {"price_version": number}, {"new_contracts": contract_rows(book.contracts)}
        )
        _mark(session, changed(newest.book.entries if newest else (), book.entries))
        _mark(session, changed(newest.book.contracts if newest else (), book.contracts))
        record(session, ledger.now_us(), "price.import", f"prices {number}", {"source": source, "sha256": digest.hex()})
    return ImportReport(number, len(book.entries), changed=True)


def import_owners(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store an owner file as the whole new mapping, and mark the hours whose owners it may change.

    Raises OwnerMappingError where the file cannot be used; then nothing is stored.
    """
    rules = parse_owner_map(content, as_format, source)
    report = _store_owners(ledger, rules, content, source=source, imported_us=imported_us)
    with ledger.snapshot() as session:
        newest = newest_directory(session)
        asking = OwnerMap(rules.rules, newest.directory if newest else None)
        return msgspec.structs.replace(report, warnings=owner_warnings(session, asking))


def _store_owners(ledger: Ledger, rules: OwnerMap, content: bytes, *, source: str, imported_us: int) -> ImportReport:
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        newest = newest_owners(session)
        if newest and newest.version.digest == digest:
            return ImportReport(newest.version.number, len(rules.rules), changed=False)
        number = newest.version.number + 1 if newest else 1
        facts = {
            "owner_version": number,
            "imported_us": imported_us,
            "source": source,
            "digest": digest,
            "content": content.decode("utf-8-sig"),
            "directory_version": newest_directory_version(session),
        }
        session.execute("owner_insert_map", facts)
        session.execute("owner_insert_rules", {"owner_version": number}, {"new_rules": rule_rows(rules)})
        _mark(session, changed(newest.rules.rules if newest else (), rules.rules))
        record(session, ledger.now_us(), "owner.import", f"owners {number}", {"source": source, "sha256": digest.hex()})
    return ImportReport(number, len(rules.rules), changed=True)


def import_directory(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a file of people as the whole new directory, and with it a new version of the owner mapping that asks it.

    Raises OwnerMappingError where the file cannot be used or there is no owner mapping; then nothing is stored.
    """
    directory = parse_directory(content, as_format, source)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        newest, owners = newest_directory(session), newest_owners(session)
        if newest and newest.version.digest == digest:
            return ImportReport(newest.version.number, len(directory.memberships), changed=False)
        if owners is None:
            raise OwnerMappingError(
                f"{source}: there is no owner mapping whose rules could ask who is in which team",
                hint='import one first: gpuledger owner import FILE, with match.directory.team = "*"',
            )
        number = newest.version.number + 1 if newest else 1
        facts = {"directory_version": number, "imported_us": imported_us}
        stored = {**facts, "source": source, "digest": digest, "content": content.decode("utf-8-sig")}
        session.execute("directory_insert", stored)
        rows = {"new_memberships": membership_rows(directory)}
        session.execute("directory_insert_entries", {"directory_version": number}, rows)
        asked = {"of_version": owners.version.number, "owner_version": owners.version.number + 1}
        session.execute("owner_insert_same", {**facts, **asked})
        rules = {"owner_version": asked["owner_version"]}
        session.execute("owner_insert_rules", rules, {"new_rules": rule_rows(owners.rules)})
        before = newest.directory.memberships if newest else ()
        _mark(session, {place.validity for place in {*before} ^ {*directory.memberships}})
        record(
            session,
            ledger.now_us(),
            "directory.import",
            f"directory {number}",
            {"source": source, "sha256": digest.hex()},
        )
    return ImportReport(number, len(directory.memberships), changed=True)


def newest_directory_version(session: Session) -> int | None:
    """Return the number of the directory that was imported last; None before the first import."""
    newest = newest_directory(session)
    return newest.version.number if newest else None


def _mark(session: Session, ranges: Iterable[Validity]) -> None:
    for from_us, to_us in set(ranges):
        bounds = {
            "from_us": _EVER.from_us if from_us is None else from_us,
            "to_us": _EVER.to_us if to_us is None else to_us,
        }
        session.execute("rate_mark_range", bounds)

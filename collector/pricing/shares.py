"""The share book as the ledger keeps it: in versions, imported whole, with what may be a mistake in it."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from collector.pricing.share_files import parse_share_book
from collector.pricing.stored import Version, newest_owners
from gpuledger.accounting.globs import matches
from gpuledger.accounting.ownership import OwnerMap
from gpuledger.accounting.shares import Kind, Scope, Share, ShareBook
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import LedgerError

SHARE_SCHEMA: Final = pa.schema([
    ("entry", pa.int32()),
    *((name, pa.string()) for name in ("organisation", "department", "team", *Scope._fields)),
    ("parts", pa.int64()),
    ("lends", pa.bool_()),
    ("lend_limit_parts", pa.int64()),
    ("loan_percent", pa.decimal128(18, 9)),
    ("loan_rate_quanta", pa.int64()),
    ("from_us", pa.int64()),
    ("to_us", pa.int64()),
])  # fmt: skip
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")


class StoredShares(NamedTuple):
    """A version of the share book."""

    version: Version
    book: ShareBook

    @property
    def reference(self) -> str:
        """Return what adjustments that follow from it refer to."""
        return f"shares {self.version.number}"


def newest_shares(session: Session) -> StoredShares | None:
    """Return the share book that open periods are held against; None before the first import."""
    found = session.execute("share_versions").to_pylist()
    return _stored(session, found[0]) if found else None


def shares_of_version(session: Session, version: int) -> StoredShares:
    """Return an older share book, which a closed period pins. Raises LedgerError where there is none of that number."""
    for row in session.execute("share_versions").to_pylist():
        if row["share_version"] == version:
            return _stored(session, row)
    raise LedgerError(f"the ledger has no share book of version {version}")


def import_shares(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a share file as the whole new book; open periods are held against it from then on.

    Raises ShareBookError where the file cannot be used; then nothing is stored.
    """
    book = parse_share_book(content, as_format, source)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        newest = newest_shares(session)
        version = newest.version.number if newest else 0
        changed = newest is None or newest.version.digest != digest
        if changed:
            version += 1
            facts = {"share_version": version, "imported_us": imported_us, "source": source, "digest": digest}
            words = {"idle": book.idle, "unowned": book.unowned, "content": content.decode("utf-8-sig")}
            session.execute("share_insert_book", {**facts, **words})
            session.execute("share_insert_entries", {"share_version": version}, {"new_shares": share_rows(book)})
            said = {"source": source, "sha256": digest.hex()}
            record(session, ledger.now_us(), "share.import", f"shares {version}", said)
        return ImportReport(version, len(book.shares), changed, share_warnings(session, book, imported_us))


def share_rows(book: ShareBook) -> pa.Table:
    """Return the shares of a book as rows to insert."""
    rows = [{"entry": number, **share.scope._asdict(), **share._asdict()} for number, share in enumerate(book.shares)]
    return pa.Table.from_pylist([{name: row[name] for name in SHARE_SCHEMA.names} for row in rows], schema=SHARE_SCHEMA)


def share_warnings(session: Session, book: ShareBook, now_us: int) -> list[str]:
    """Return which shares are of teams or devices that the ledger does not know, and where they exceed what exists."""
    warnings = list(_strange_teams(session, book))
    devices = session.execute("share_devices").to_pylist()
    return [*warnings, *(text for scope in book.scopes for text in _scope(book, scope, devices, now_us))]


def _strange_teams(session: Session, book: ShareBook) -> Iterator[str]:
    """Yield the teams that no owner rule makes: nothing they hold would ever count against their share."""
    owners = newest_owners(session)
    rules = owners.rules if owners else OwnerMap(())
    for team in dict.fromkeys(share.holder for share in book.shares):
        if any(_makes(rule.owner, team) for rule in rules.rules):
            continue
        named = " > ".join(filter(None, team))
        near = difflib.get_close_matches(team[2], sorted({rule.owner.team for rule in rules.rules}), n=1)
        meant = f': did you mean "{near[0]}"?' if near and near[0] != team[2] else ""
        yield f'no owner rule makes the team "{named}", so that nothing counts against its share{meant}'


def _makes(owner: tuple[str, ...], team: tuple[str, ...]) -> bool:
    """Return whether a rule can make a team; what it fills in may be anything."""
    return all(
        mine == "" or matches(_PLACEHOLDER.sub("*", made), mine) for made, mine in zip(owner[:3], team, strict=True)
    )


def _scope(book: ShareBook, scope: Scope, devices: list[dict[str, Any]], now_us: int) -> Iterator[str]:
    if not devices:
        return
    ever = [row for row in devices if scope.applies(_kind(row))]
    if not ever:
        yield f"shares of {scope.describe()}: the ledger knows no such device"
    valid = book.valid_in(scope, now_us)
    inside = [row for row in ever if book.scope_of(_kind(row), now_us) == scope]
    if not valid or not inside or not all(row["capacity_known"] for row in inside):
        return
    shared = sum(book.shares[number].parts for number in valid)
    existing = sum(row["parts"] for row in inside)
    if shared > existing:
        yield (
            f"shares of {scope.describe()} are {gpus(shared)} GPUs, and {gpus(existing)} exist: "
            "all of them shrink in proportion"
        )


def gpus(parts: int) -> str:
    """Return parts of a GPU as a number of GPUs in words, with at most three decimals."""
    return f"{parts / GPU_PARTS:,.3f}".rstrip("0").rstrip(".")


def _kind(row: dict[str, Any]) -> Kind:
    return Kind(row["cluster"], row["pool"], row["model"])


def _stored(session: Session, found: dict[str, Any]) -> StoredShares:
    version = Version(found["share_version"], found["imported_us"], found["source"], found["digest"])
    rows = session.execute("share_entries", {"share_version": version.number}).to_pylist()
    shares = [_share(row) for row in rows]
    return StoredShares(version, ShareBook(shares, idle=found["idle"], unowned=found["unowned"]))


def _share(row: dict[str, Any]) -> Share:
    scope = Scope(**{name: row.pop(name) for name in Scope._fields})
    return Share(**row, scope=scope)

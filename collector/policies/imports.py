"""Import of a policy book: one new version in one transaction. Bills of open periods follow the newest one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.policies.files import SCOPE_KEYS, parse_policy_book
from collector.policies.stored import newest_policies, policy_rows
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from gpuledger.accounting.policies import UNHELD, Payer, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyScope

SHOWN: Final = 10


def import_policies(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a policy file as the whole new book. Raises PolicyBookError where it cannot be used; nothing is stored."""
    book = parse_policy_book(content, as_format, source)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        warnings = policy_warnings(session, book)
        newest = newest_policies(session)
        if newest and newest.version.digest == digest:
            return ImportReport(newest.version.number, len(book.entries), changed=False, warnings=warnings)
        number = newest.version.number + 1 if newest else 1
        facts = {"imported_us": imported_us, "source": source, "digest": digest, "content": content.decode("utf-8-sig")}
        session.execute("policy_insert_book", {"policy_version": number, **facts})
        session.execute("policy_insert_entries", {"policy_version": number}, {"new_policies": policy_rows(book)})
        record(
            session, ledger.now_us(), "policy.import", f"policies {number}", {"source": source, "sha256": digest.hex()}
        )
    return ImportReport(number, len(book.entries), changed=True, warnings=warnings)


def policy_warnings(session: Session, book: PolicyBook) -> list[str]:
    """Return which entries speak of, or let pay, nobody and nothing that charges have known."""
    seen = [PolicyScope(**row) for row in session.execute("policy_seen").to_pylist()]
    if not seen:
        return []
    found = []
    for number, entry in enumerate(book.entries, 1):
        named = [key for key in SCOPE_KEYS if getattr(entry, key)]
        if named and not any(entry.applies(scope) for scope in seen):
            found.append(f"policy entry {number} ({entry.describe()}) applies to nothing that the ledger has charged")
        found += _unknown_payers(number, entry.settings, {each[:3] for each in seen})
    rest = [f"and {len(found) - SHOWN} more entries"] if len(found) > SHOWN else []
    return [*found[:SHOWN], *rest]


def _unknown_payers(number: int, settings: Settings, owners: set[tuple[str, str, str]]) -> Iterator[str]:
    """Say who is to pay for time that nobody held and was never charged: it would be an owner of its own."""
    for kind in UNHELD:
        payer = getattr(settings, kind)
        if isinstance(payer, Payer) and payer.owner not in owners:
            near = sorted(_name(owner) for owner in owners if owner[2] == payer.team)
            meant = f": did you mean {near[0]}?" if near else ""
            yield f"policy entry {number}: nothing was charged to {_name(payer.owner)}, who is to pay for {kind}{meant}"


def _name(owner: tuple[str, str, str]) -> str:
    return " > ".join(filter(None, owner))

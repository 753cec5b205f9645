"""The budget book as the ledger keeps it, in versions, and the import of a new one."""

from __future__ import annotations

import hashlib
from datetime import tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.budget_files import BudgetBook, parse_budget_book
from collector.governance.owners import known_nodes
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from collector.pricing.stored import Version
from gpuledger.accounting.budget_gains import Gain, gains
from gpuledger.accounting.budgets import EVERYTHING

SHOWN: Final = 10


class StoredBudgets(NamedTuple):
    """A version of the budget book; 0: nobody imported one."""

    version: Version
    book: BudgetBook


def import_budgets(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a budget file as the whole new book. Raises BudgetBookError where it cannot be used; nothing is stored."""
    book = parse_budget_book(content, as_format, source, ledger.calendar.days)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        warnings = budget_warnings(session, book)
        newest = newest_budgets(session, ledger.calendar.days)
        if newest.version.digest == digest:
            return ImportReport(newest.version.number, len(book.budgets), changed=False, warnings=warnings)
        number = newest.version.number + 1
        facts = {"imported_us": imported_us, "source": source, "digest": digest, "content": content.decode("utf-8-sig")}
        session.execute("budget_insert_book", {"budget_version": number, **facts})
        said: dict[str, Value] = {"source": source, "sha256": digest.hex(), "budgets": len(book.budgets)}
        record(session, ledger.now_us(), "budget.import", f"budgets {number}", said)
    return ImportReport(number, len(book.budgets), changed=True, warnings=warnings)


def newest_budgets(session: Session, zone: tzinfo) -> StoredBudgets:
    """Return the budget book that applies: without budgets before the first import."""
    rows = session.execute("budget_newest").to_pylist()
    if not rows:
        return StoredBudgets(Version(0, 0, "", b""), BudgetBook())
    [row] = rows
    version = Version(row["budget_version"], row["imported_us"], row["source"], row["digest"])
    return StoredBudgets(version, _parsed(row["content"], version.source, zone))


def book_gains(session: Session, book: BudgetBook, zone: tzinfo, now_us: int) -> list[Gain]:
    """Return what a book allows beyond the newest one from now on."""
    return gains(newest_budgets(session, zone).book.budgets, book.budgets, now_us, zone)


def budget_warnings(session: Session, book: BudgetBook) -> list[str]:
    """Return which budgets are of owners that nothing is known of, or in a currency that nothing is billed in."""
    known = known_nodes(session)
    books = session.execute("price_newest").to_pylist()
    currency = books[0]["currency"] if books else ""
    found = []
    for number, each in enumerate(book.budgets, 1):
        if known and each.owner != EVERYTHING and each.owner not in known:
            found.append(f'budget {number}: nothing was charged to "{each.owner}" yet, and no owner rule names it')
        if currency and each.currency != currency:
            found.append(f"budget {number} is in {each.currency}, and prices are in {currency}: spend is not known")
    rest = [f"and {len(found) - SHOWN} more entries"] if len(found) > SHOWN else []
    return [*found[:SHOWN], *rest]


@lru_cache(maxsize=4)
def _parsed(content: str, source: str, zone: tzinfo) -> BudgetBook:
    return parse_budget_book(content.encode(), "toml", source, zone)

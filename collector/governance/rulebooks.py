"""The rule book as the ledger keeps it, in versions, and the import of a new one."""

from __future__ import annotations

import hashlib
from datetime import tzinfo
from functools import lru_cache
from typing import NamedTuple

from collector.audit.canonical import Value
from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from collector.pricing.stored import Version
from gpuledger.errors import ConfigError, RuleBookError
from gpuledger.rules.book import RuleBook
from gpuledger.rules.files import parse_rule_book, warnings_of
from gpuledger.zones import find_zone


class StoredRules(NamedTuple):
    """A version of the rule book, and the text that it was imported as; 0: nobody imported one."""

    version: Version
    book: RuleBook
    content: str = ""

    def clock(self, otherwise: tzinfo) -> tzinfo:
        """Return the zone whose hours and weekdays its rules mean: its own, or the ledger's."""
        return find_zone(self.book.zone) if self.book.zone else otherwise


_NONE = StoredRules(Version(0, 0, "", b""), RuleBook())


def read_rules(content: bytes, as_format: FileFormat, source: str) -> RuleBook:
    """Return the rule book in a file. Raises RuleBookError where it cannot be used."""
    if as_format != "toml":
        raise RuleBookError(f"{source}: a rule book is TOML", hint='[[rule]] name = "large jobs"')
    book = parse_rule_book(content, source)
    try:
        find_zone(book.zone or "UTC")
    except ConfigError as error:
        raise RuleBookError(f"{source}: zone: {error.message}", hint=error.hint) from error
    return book


def import_rules(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store a rule file as the whole new book: it decides from now on. Raises RuleBookError; nothing is stored then."""
    book = read_rules(content, as_format, source)
    digest = hashlib.sha256(content).digest()
    count, warnings = len(book.rules), warnings_of(book)
    with ledger.transaction() as session:
        newest = newest_rules(session)
        if newest.version.digest == digest:
            return ImportReport(newest.version.number, count, changed=False, warnings=warnings)
        number = newest.version.number + 1
        facts = {"imported_us": imported_us, "source": source, "digest": digest, "content": content.decode("utf-8-sig")}
        session.execute("rules_insert", {"rules_version": number, **facts})
        said: dict[str, Value] = {"source": source, "sha256": digest.hex(), "rules": count}
        record(session, ledger.now_us(), "rules.import", f"rules {number}", said)
    return ImportReport(number, count, changed=True, warnings=warnings)


def newest_rules(session: Session) -> StoredRules:
    """Return the rule book that decides now: without rules before the first import."""
    rows = session.execute("rules_newest").to_pylist()
    return stored(rows[0]) if rows else _NONE


def rule_versions(session: Session) -> list[StoredRules]:
    """Return all rule books that were imported, the newest first."""
    return [stored(row) for row in session.execute("rules_history").to_pylist()]


def rules_of_version(session: Session, number: int) -> StoredRules:
    """Return the rule book of a version; 0 is the one without rules that decides before any import."""
    return next((each for each in rule_versions(session) if each.version.number == number), _NONE)


def stored(row: dict[str, object]) -> StoredRules:
    """Return a rule book from its row."""
    content = str(row["content"])
    digest = row["digest"]
    assert isinstance(digest, bytes)
    version = Version(int(str(row["rules_version"])), int(str(row["imported_us"])), str(row["source"]), digest)
    return StoredRules(version, _parsed(content, version.source), content)


@lru_cache(maxsize=16)
def _parsed(content: str, source: str) -> RuleBook:
    return parse_rule_book(content.encode(), source)

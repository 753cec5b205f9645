"""The audit log as answers: what was done and by whom, and the raw entries and checkpoints that prove it elsewhere."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from collector.audit.canonical import parse_canonical
from collector.audit.heads import notes
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period

MAX_ENTRIES: Final = 10_000


class AuditRow(msgspec.Struct, frozen=True):
    """One event: what was done by whom to what, and the rest of what there is to say."""

    sequence: int
    at: str
    act: str
    actor: str
    subject: str
    details: dict[str, Any]


class Audit(msgspec.Struct, frozen=True):
    """Events, the newest first."""

    rows: list[AuditRow]


class AuditEntry(msgspec.Struct, frozen=True):
    """One event as it is kept: canonical JSON."""

    sequence: int
    entry: str


class AuditEntries(msgspec.Struct, frozen=True):
    """Entries as they are kept, in their order: what an offline verifier reads. `next` continues; None at the end."""

    rows: list[AuditEntry]
    next: int | None


class AuditCheckpoint(msgspec.Struct, frozen=True):
    """One signed head of the log."""

    note: str


class AuditCheckpoints(msgspec.Struct, frozen=True):
    """Signed notes, the oldest first."""

    rows: list[AuditCheckpoint]


def audit(ledger: Ledger, period: Period | None, *, act: str, actor: str, limit: int) -> Audit:
    """Return what was done in a period (ever, where it is None), the newest first."""
    bounds = {"from_us": period.start_us, "to_us": period.end_us} if period else {"from_us": 0, "to_us": 2**62}
    rows = ledger.execute("query_audit", {**bounds, "act": act, "actor": actor, "max_rows": limit}).to_pylist()
    return Audit([_row(row) for row in rows])


def audit_entries(ledger: Ledger, *, first: int) -> AuditEntries:
    """Return entries from a sequence on, a page of them."""
    page = ledger.execute("audit_entries", {"first": first, "max_rows": MAX_ENTRIES})
    more = page.num_rows == MAX_ENTRIES
    rows = [AuditEntry(**row) for row in page.to_pylist()]
    return AuditEntries(rows, rows[-1].sequence + 1 if more else None)


def audit_checkpoints(ledger: Ledger) -> AuditCheckpoints:
    """Return all signed checkpoints."""
    with ledger.snapshot() as session:
        return AuditCheckpoints([AuditCheckpoint(note) for note in notes(session)])


def _row(row: dict[str, Any]) -> AuditRow:
    """Return an event by its entry alone: the columns beside it are for searching, and no hash covers them."""
    said = parse_canonical(row["entry"].encode())
    return AuditRow(row["sequence"], said["at"], said["act"], said["actor"], said["subject"], said["details"])

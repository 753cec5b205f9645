"""The audit log in the ledger: written in the transaction of the act, so that neither exists without the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from collector.audit.actor import actor
from collector.audit.canonical import Value
from collector.audit.events import FIRST_LINK, Act, Link, link
from collector.ledger.database import Session
from gpuledger.accounting.periods import iso

CLOCK_BACK: Final = "clock.back"
PAGE: Final = 10_000
_NEWEST: Final = "newest audit event"
_SCHEMA: Final = pa.schema([
    ("sequence", pa.int64()),
    ("at_us", pa.int64()),
    *((name, pa.string()) for name in ("act", "actor", "subject", "entry")),
])  # fmt: skip


def record(
    session: Session, at_us: int, act: str, subject: str = "", details: Mapping[str, Value] | None = None
) -> None:
    """Record one act of whoever acts now; it is there when, and only when, the transaction commits."""
    append(session, at_us, [Act(act, actor(), subject, details or {})])


def append(session: Session, at_us: int, acts: list[Act]) -> None:
    """Add acts of one instant. A clock that went back is an event of its own; times in the log never do.

    The writer's session remembers the newest event: nobody else writes, and what is rolled back is forgotten.
    """
    if not acts:
        return
    newest: Link | None = session.remembered.get(_NEWEST) or last(session)
    if newest and at_us < newest.at_us:
        back = Act(CLOCK_BACK, "collector", "", {"clock": iso(at_us), "log": iso(newest.at_us)})
        acts, at_us = [back, *acts], newest.at_us
    made = link(acts, at_us, newest.sequence + 1 if newest else 0, newest.hash if newest else FIRST_LINK)
    *columns, texts = zip(*made, strict=True)
    table = pa.table([*columns, [entry.decode() for entry in texts]], schema=_SCHEMA)
    session.execute("audit_insert", tables={"new_events": table})
    session.remembered[_NEWEST] = made[-1]


def last(session: Session) -> Link | None:
    """Return the newest event, as it is kept."""
    rows = session.execute("audit_last").to_pylist()
    return Link.parse(rows[0]["entry"].encode()) if rows else None


def entries(session: Session, first: int = 0) -> Iterator[bytes]:
    """Yield the entries from a sequence on, a page in memory at a time."""
    while True:
        page = session.execute("audit_entries", {"first": first, "max_rows": PAGE})
        for entry in page["entry"].to_pylist():
            yield entry.encode()
        if page.num_rows < PAGE:
            return
        first = page["sequence"][-1].as_py() + 1

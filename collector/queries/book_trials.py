"""What a book that nobody imported yet would change: each team's bill of the open periods, before and after.

The book is imported into a trial of the ledger, whose hours are rated and billed as they would be, and all of that is
undone. Closed periods have no part in it, nor have corrections of them: no book changes those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import tzinfo
from typing import NamedTuple

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.ledger.trial import trial
from collector.periods.adjusting import adjustments_of
from collector.periods.closed import closed_periods
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat
from collector.queries.billing import open_periods
from collector.queries.figures import cost_of, hours, money
from collector.rating import rate_dirty

Importing = Callable[..., ImportReport]


class BillChange(msgspec.Struct, frozen=True):
    """One team's bill of one open period, by the books that apply and by the new one. An empty team is the platform.

    A cost is None where nothing of it has a price.
    """

    period: str
    organisation: str
    department: str
    team: str
    cost_before: str | None
    cost_after: str | None
    change: str
    unpriced_gpu_hours_before: float
    unpriced_gpu_hours_after: float


class BookTrial(msgspec.Struct, frozen=True):
    """What an import would do; nothing was stored. `rows` has the bills that change, `bills` is how many there are."""

    version: int
    entries: int
    changed: bool
    currency: str | None
    bills: int
    rows: list[BillChange]
    warnings: list[str]


class _Bill(NamedTuple):
    cost_quanta: int = 0
    part_us: int = 0
    unpriced_part_us: int = 0

    @property
    def cost(self) -> str | None:
        return money(cost_of(self.part_us, self.unpriced_part_us, self.cost_quanta))


_Key = tuple[str, str, str, str]  # period, organisation, department, team


def try_book(ledger: Ledger, importing: Importing, content: bytes, as_format: FileFormat, *, source: str) -> BookTrial:
    """Return what `importing` this file would change of open bills. Raises what the import itself would raise.

    What waits to be rated is rated first, for good. Slow for prices and owners: all hours that they change are rated,
    and no batch is committed meanwhile.
    """
    rate_dirty(ledger)
    with trial(ledger) as trying:
        with trying.snapshot() as session:
            before = _bills(session, ledger.calendar.days)
        report = importing(trying, content, as_format, source=source, imported_us=ledger.now_us())
        if report.changed:
            rate_dirty(trying)
        with trying.snapshot() as session:
            after = _bills(session, ledger.calendar.days) if report.changed else before
            books = session.execute("price_newest").to_pylist()
    rows = [
        _change(key, before.get(key, _Bill()), after.get(key, _Bill()))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return BookTrial(
        version=report.version,
        entries=report.entries,
        changed=report.changed,
        currency=books[0]["currency"] if books else None,
        bills=len(before.keys() | after.keys()),
        rows=rows,
        warnings=report.warnings,
    )


def _bills(session: Session, zone: tzinfo) -> dict[_Key, _Bill]:
    """Return what each team would be billed for each open period: charges and adjustments."""
    found: defaultdict[_Key, _Bill] = defaultdict(_Bill)
    for period in open_periods(session, closed_periods(session), zone):
        bounds = {"from_us": period.start_us, "to_us": period.end_us}
        for row in session.execute("bills_charged", bounds).to_pylist():
            key = (period.label, row["organisation"], row["department"], row["team"])
            found[key] = _Bill(int(row["cost_quanta"]), int(row["part_us"]), int(row["unpriced_part_us"]))
        for each in adjustments_of(session, period):
            bill = found[period.label, *each.owner]
            found[period.label, *each.owner] = bill._replace(cost_quanta=bill.cost_quanta + each.cost_quanta)
    return dict(found)


def _change(key: _Key, before: _Bill, after: _Bill) -> BillChange:
    return BillChange(
        *key,
        cost_before=before.cost,
        cost_after=after.cost,
        change=money(after.cost_quanta - before.cost_quanta) or "",
        unpriced_gpu_hours_before=hours(before.unpriced_part_us),
        unpriced_gpu_hours_after=hours(after.unpriced_part_us),
    )

"""Adjustments that people entered, as answers: who entered what and why, and whose bill has it."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.ledger.store import Ledger
from collector.periods.entries import Payer
from collector.periods.manual import EntryLine, entries
from collector.queries.figures import hours, instant, money
from gpuledger.accounting.periods import iso


class EnteredRow(msgspec.Struct, frozen=True):
    """One line of an entered adjustment. `state` is waiting, withdrawn or billed (on the bill of period `bill`).

    `[from, to)` is the time that it is for, where that was said. The GPU-hours are on a bill already.
    """

    adjustment: int
    state: str
    bill: str
    owner: str
    project: str
    model: str
    mig_profile: str
    because: str
    from_: str | None = msgspec.field(name="from")
    to: str | None
    gpu_hours: float
    cost: str | None
    entered_at: str
    entered_by: str
    withdrawn_by: str
    withdrawn_why: str


class Entered(msgspec.Struct, frozen=True):
    """All entered adjustments by number, line by line."""

    currency: str
    rows: list[EnteredRow]


def entered(ledger: Ledger, *, number: int = 0) -> Entered:
    """Return the entered adjustment of a number, or (0) all."""
    with ledger.snapshot() as session:
        found = entries(session)
        books = session.execute("price_newest").to_pylist()
    rows = [_row(row, line) for row in found if number in (0, row["manual_id"]) for line in row["lines"]]
    return Entered(books[0]["currency"] if books else "", rows)


def _row(row: dict[str, Any], line: EntryLine) -> EnteredRow:
    return EnteredRow(
        adjustment=row["manual_id"],
        state="billed" if row["billed_on"] else "waiting" if row["withdrawn_us"] is None else "withdrawn",
        bill=row["billed_on"],
        owner=str(Payer(line.organisation, line.department, line.team)),
        project=line.project,
        model=line.model,
        mig_profile=line.mig_profile,
        because=line.because,
        from_=instant(row["from_us"]),
        to=instant(row["to_us"]),
        gpu_hours=hours(line.part_us),
        cost=money(line.cost_quanta),
        entered_at=iso(row["entered_us"]),
        entered_by=row["entered_by"],
        withdrawn_by=row["withdrawn_by"],
        withdrawn_why=row["withdrawn_why"],
    )

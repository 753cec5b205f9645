"""Adjustments as answers: what bills have beside charges and corrections, and why."""

from __future__ import annotations

from datetime import tzinfo

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.adjusting import adjustments_of, stored
from collector.periods.closed import closed_periods
from collector.queries.billing import open_periods
from collector.queries.figures import Span, hours, money, span
from gpuledger.accounting.adjustments import Adjustment
from gpuledger.accounting.periods import Period, iso
from gpuledger.model import State


class AdjustmentRow(msgspec.Struct, frozen=True):
    """One adjustment. `[from, to)` is the time that it is for; `final` where its period is closed.

    An empty team is the platform; `state` is empty where it is about no state of device time. The GPU-hours are those
    that it is about, which are on the bill already.
    """

    period: str
    final: bool
    kind: str
    because: str
    reference: str
    corrects: str
    from_: str = msgspec.field(name="from")
    to: str
    organisation: str
    department: str
    team: str
    project: str
    model: str
    mig_profile: str
    state: str
    gpu_hours: float
    cost: str | None


class Adjustments(msgspec.Struct, frozen=True):
    """All adjustments of the billing periods that lie in a period, in order of time."""

    currency: str
    period: Span
    rows: list[AdjustmentRow]


def adjustments(ledger: Ledger, period: Period) -> Adjustments:
    """Return the adjustments of each billing period that lies whole in `period`: stored, or as they would be now."""
    with ledger.snapshot() as session:
        found = sorted(_billed(session, period, ledger.calendar.days), key=lambda each: each[0].start_us)
        books = session.execute("price_newest").to_pylist()
    rows = [_row(of, each, final=final) for of, final, lines in found for each in lines]
    return Adjustments(books[0]["currency"] if books else "", span(period), rows)


def _billed(session: Session, period: Period, zone: tzinfo) -> list[tuple[Period, bool, tuple[Adjustment, ...]]]:
    """Return every billing period inside `period`, whether it is closed, and its adjustments.

    Those of open ones are made from all their charges: of others they are not made.
    """
    closed = closed_periods(session)
    kept = [(Period(each.from_us, each.to_us, each.label), each.period_id) for each in closed]
    final = [(of, True, stored(session, number)) for of, number in kept if _inside(of, period)]
    still = [of for of in open_periods(session, closed, zone) if _inside(of, period)]
    return [*final, *((of, False, adjustments_of(session, of)) for of in still)]


def _inside(of: Period, period: Period) -> bool:
    return period.start_us <= of.start_us and of.end_us <= period.end_us


def _row(of: Period, line: Adjustment, *, final: bool) -> AdjustmentRow:
    return AdjustmentRow(
        period=of.label,
        final=final,
        kind=line.kind,
        because=line.because,
        reference=line.reference,
        corrects=line.corrects,
        from_=iso(line.from_us),
        to=iso(line.to_us),
        organisation=line.organisation,
        department=line.department,
        team=line.team,
        project=line.project,
        model=line.model,
        mig_profile=line.mig_profile,
        state=State(line.state).label if line.state else "",
        gpu_hours=hours(line.part_us),
        cost=money(line.cost_quanta),
    )

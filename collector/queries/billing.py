"""Billing periods and invoices as answers: what is open, what is closed for ever, and who was billed what."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Final

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.adjusting import adjustments_of
from collector.periods.closed import ClosedPeriod, closed_periods
from collector.periods.closing import cents
from collector.queries.figures import Span, cost_of, hours, instant, integers, money, ratio, span
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.periods import Period, iso, month_of
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import State

OPEN: Final = "open"
CLOSING: Final = "closing"  # it has ended and waits to be closed
CLOSED: Final = "closed"


class PeriodRow(msgspec.Struct, frozen=True):
    """A billing period. Of an open one all is provisional: what it would be closed with as things stand.

    `late_until`: until then data is waited for, and closing needs an exception; None where it is not, or not any more.
    """

    label: str
    state: str
    from_: str = msgspec.field(name="from")
    to: str
    period_id: int | None
    charges: int
    charge_cost: str | None
    corrections: int
    correction_cost: str | None
    adjustments: int
    adjustment_cost: str | None
    cost: str | None
    unpriced_gpu_hours: float
    unobserved_gpu_hours: float
    closed_at: str | None
    closed_by: str
    exception: str
    price_version: int | None
    owner_version: int | None
    share_version: int | None
    policy_version: int | None
    digest: str
    zone: str
    late_until: str | None


class Periods(msgspec.Struct, frozen=True):
    """All billing periods, the earliest first; `zone`: whose days the open ones are cut by."""

    currency: str
    zone: str
    grace_hours: int
    rows: list[PeriodRow]


class InvoiceRow(msgspec.Struct, frozen=True):
    """One invoice, or credit note. `cost` is exact, `payable` whole cents; an empty team is the platform itself."""

    number: int
    kind: str
    period: str
    organisation: str
    department: str
    team: str
    gpu_hours: float
    unpriced_gpu_hours: float  # of them, what has no price and is not billed
    complete_ratio: float | None  # of the period's own time, how much was watched
    currency: str
    cost: str | None
    payable: str
    issued_at: str
    zone: str  # whose days the period is cut by


class Invoices(msgspec.Struct, frozen=True):
    """All invoices by number."""

    rows: list[InvoiceRow]


class InvoiceLineRow(msgspec.Struct, frozen=True):
    """One line of an invoice; `corrects` names the period that it is for, where that is another.

    `kind` is charge, correction or that of an adjustment, which says why; it has a state only where it is about one.
    """

    line: int
    kind: str
    project: str
    model: str
    mig_profile: str
    state: str
    corrects: str
    because: str
    gpu_hours: float
    unpriced_gpu_hours: float
    cost: str | None
    payable: str
    disputed: str  # the disputes about it, as things stand; an invoice itself never changes


class Invoice(msgspec.Struct, frozen=True):
    """One invoice whole, with the digest of the bill that it is a part of, and what that was closed in spite of."""

    invoice: InvoiceRow
    period: Span
    period_digest: str
    exception: str
    rows: list[InvoiceLineRow]


def periods(ledger: Ledger) -> Periods:
    """Return every month that has data, or what is open of it, and every closed period."""
    with ledger.snapshot() as session:
        closed = closed_periods(session)
        rows = [_closed_row(period) for period in closed]
        waiting = [integers(row) for row in session.execute("corrections_waiting").to_pylist()]
        found = open_periods(session, closed, ledger.calendar.days)
        if closed and not found:  # all that is known is closed: what waits goes onto the bill of what comes next
            after = following(closed, ledger.calendar.days)
            found = [after] if waiting or adjustments_of(session, after) else []
        for at, period in enumerate(found):
            rows.append(_open_row(session, period, ledger, waiting if not at else []))
        books = session.execute("price_newest").to_pylist()
    return Periods(
        books[0]["currency"] if books else "", *ledger.calendar, rows=sorted(rows, key=lambda row: row.from_)
    )


def invoices(ledger: Ledger) -> Invoices:
    """Return all invoices."""
    found = ledger.execute("query_invoices", {"invoice_number": 0}).to_pylist()
    return Invoices([_invoice_row(integers(row)) for row in found])


def invoice(ledger: Ledger, *, number: int) -> Invoice:
    """Return one invoice with its lines. Raises ConfigError where there is none of that number."""
    with ledger.snapshot() as session:
        found = session.execute("query_invoices", {"invoice_number": number}).to_pylist()
        if not found:
            raise ConfigError(f"there is no invoice {number}", hint="gpuledger invoice list shows all of them")
        lines = session.execute("query_invoice_lines", {"invoice_number": number}).to_pylist()
        disputed: dict[int, list[str]] = {}
        for row in session.execute("invoice_disputes", {"invoice_number": number}).to_pylist():
            disputed.setdefault(row["line"], []).append(f"{row['dispute_id']} {row['decision'] or row['ended']}")
    head = integers(found[0])
    return Invoice(
        invoice=_invoice_row(head),
        period=span(Period(head["from_us"], head["to_us"], head["label"], head["zone"])),
        period_digest=head["digest"].decode(),
        exception=head["exception"],
        rows=[_line_row(integers(row), ", ".join(disputed.get(row["line"], []))) for row in lines],
    )


def open_periods(session: Session, closed: list[ClosedPeriod], zone: tzinfo) -> list[Period]:
    """Return the months with data, cut to what of them is open, in order of time."""
    reach = session.execute("select_reach").to_pylist()
    if not reach:
        return []
    first_us = at_us = min(row["from_us"] for row in reach) // US_PER_HOUR * US_PER_HOUR
    end_us = max(row["until_us"] for row in reach)
    covered = [Interval(period.from_us, period.to_us) for period in closed]
    found: list[Period] = []
    while at_us < end_us:
        month = month_of(at_us, zone)
        for start_us, stop_us in gaps(covered, Interval(month.start_us, month.end_us)):
            if stop_us <= first_us:
                continue  # before the first data
            whole = (start_us, stop_us) == (month.start_us, month.end_us)
            label = month.label if whole else f"{iso(start_us)}..{iso(stop_us)}"
            found.append(Period(start_us, stop_us, label, str(zone)))
        at_us = month.end_us
    return found


def following(closed: list[ClosedPeriod], zone: tzinfo) -> Period:
    """Return the rest of the month after the last closed period."""
    end_us = max(period.to_us for period in closed)
    month = month_of(end_us, zone)
    label = month.label if month.start_us == end_us else f"{iso(end_us)}..{iso(month.end_us)}"
    return Period(end_us, month.end_us, label, str(zone))


def _open_row(session: Session, period: Period, ledger: Ledger, waiting: list[dict[str, Any]]) -> PeriodRow:
    bounds = {"from_us": period.start_us, "to_us": period.end_us}
    totals = integers(session.execute("period_totals", bounds).to_pylist()[0])
    late_us = period.end_us + ledger.calendar.grace_us
    correction_quanta = sum(row["cost_quanta"] for row in waiting)
    adjustments = adjustments_of(session, period)
    adjusted_quanta = sum(each.cost_quanta for each in adjustments)
    charge_quanta = cost_of(totals["part_us"], totals["unpriced_part_us"], totals["charge_quanta"])
    return PeriodRow(
        label=period.label,
        state=OPEN if ledger.now_us() < period.end_us else CLOSING,
        from_=iso(period.start_us),
        to=iso(period.end_us),
        period_id=None,
        charges=totals["charge_count"],
        charge_cost=money(charge_quanta),
        corrections=sum(row["correction_count"] for row in waiting),
        correction_cost=money(correction_quanta),
        adjustments=len(adjustments),
        adjustment_cost=money(adjusted_quanta),
        cost=money(
            totals["charge_quanta"] + besides if (besides := correction_quanta + adjusted_quanta) else charge_quanta
        ),
        unpriced_gpu_hours=hours(totals["unpriced_part_us"]),
        unobserved_gpu_hours=hours(totals["unobserved_part_us"]),
        closed_at=None,
        closed_by="",
        exception="",
        price_version=None,
        owner_version=None,
        share_version=None,
        policy_version=None,
        digest="",
        zone=period.zone,
        late_until=instant(late_us if ledger.now_us() < late_us else None),
    )


def _closed_row(period: ClosedPeriod) -> PeriodRow:
    return PeriodRow(
        label=period.label,
        state=CLOSED,
        from_=iso(period.from_us),
        to=iso(period.to_us),
        period_id=period.period_id,
        charges=period.charge_count,
        charge_cost=money(period.charge_quanta),
        corrections=period.correction_count,
        correction_cost=money(period.correction_quanta),
        adjustments=period.adjustment_count,
        adjustment_cost=money(period.adjustment_quanta),
        cost=money(period.cost_quanta),
        unpriced_gpu_hours=hours(period.unpriced_part_us),
        unobserved_gpu_hours=hours(period.unobserved_part_us),
        closed_at=instant(period.closed_us),
        closed_by=period.closed_by,
        exception=period.exception,
        price_version=period.price_version,
        owner_version=period.owner_version,
        share_version=period.share_version,
        policy_version=period.policy_version,
        digest=period.digest.decode(),
        zone=period.zone,
        late_until=None,
    )


def _invoice_row(row: dict[str, Any]) -> InvoiceRow:
    return InvoiceRow(
        number=row["invoice_number"],
        kind=row["kind"],
        period=row["label"],
        organisation=row["organisation"],
        department=row["department"],
        team=row["team"],
        gpu_hours=hours(row["part_us"]),
        unpriced_gpu_hours=hours(row["unpriced_part_us"]),
        complete_ratio=ratio(row["observed_part_us"], row["own_part_us"]),
        currency=row["currency"],
        cost=money(row["cost_quanta"]),
        payable=cents(row["payable_cents"]),
        issued_at=iso(row["issued_us"]),
        zone=row["zone"],
    )


def _line_row(row: dict[str, Any], disputed: str) -> InvoiceLineRow:
    return InvoiceLineRow(
        line=row["line"],
        kind=row["kind"],
        project=row["project"],
        model=row["model"],
        mig_profile=row["mig_profile"],
        state=State(row["state"]).label if row["state"] else "",
        corrects=row["corrects"],
        because=row["because"],
        gpu_hours=hours(row["part_us"]),
        unpriced_gpu_hours=hours(row["unpriced_part_us"]),
        cost=money(row["cost_quanta"]),
        payable=cents(row["payable_cents"]),
        disputed=disputed,
    )

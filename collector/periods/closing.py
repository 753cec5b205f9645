"""Closing a billing period: checked, corrected, invoiced and sealed in one transaction, for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.adjusting import ADJUSTERS, Adjuster, adjustments_of, store
from collector.periods.closed import ClosedPeriod, HourDigests, charge_digests, closed_periods, seal
from collector.periods.entries import words
from collector.periods.invoicing import Billed, Invoice, make_invoices
from collector.policies.stored import newest_policies
from collector.pricing.shares import newest_shares
from collector.pricing.stored import newest_owners, newest_prices
from collector.queries.figures import hours, integers, money
from collector.queries.reconcile import Reconciliation, reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.currencies import smallest_cents
from gpuledger.accounting.periods import Period, iso, month_of, require_hours
from gpuledger.accounting.rating import METHOD
from gpuledger.errors import ConfigError, LedgerError, Terminal
from gpuledger.zones import find_zone

_CORRECTIONS: Final = pa.schema([
    *((name, pa.int64()) for name in ("hour_us", "offset_us", "rate_quanta", "held_us", "cost_quanta")),
    *((name, pa.int32()) for name in ("corrects_period_id", "device_id", "holder_id", "reason_id", "owner_id")),
    *((name, pa.int32()) for name in ("price_version", "price_entry", "owner_version", "state")),
])  # fmt: skip
_INVOICES: Final = pa.schema([
    *((name, pa.int64()) for name in ("invoice_number", "period_id", "cost_quanta", "payable_cents", "issued_us")),
    *((name, pa.decimal128(38, 0)) for name in ("part_us", "observed_part_us")),
    *((name, pa.string()) for name in ("kind", "organisation", "department", "team", "currency")),
])  # fmt: skip
_LINES: Final = pa.schema([
    *((name, pa.int64()) for name in ("invoice_number", "line", "state", "cost_quanta", "payable_cents")),
    *((name, pa.decimal128(38, 0)) for name in ("part_us", "unpriced_part_us")),
    *((name, pa.string()) for name in ("kind", "project", "model", "mig_profile", "corrects", "because")),
])  # fmt: skip


class PeriodError(LedgerError, Terminal):
    """A period that cannot be closed as it stands."""


class CloseReport(msgspec.Struct, frozen=True):
    """What closing a period did."""

    period_id: int
    label: str
    charges: int
    corrections: int
    adjustments: int
    invoices: int
    currency: str
    cost: str | None
    payable: str
    digest: str
    exception: str


class _Order(NamedTuple):
    """What is closed, by whom, in spite of what, and when."""

    period: Period
    closed_by: str
    exception: str
    at_us: int
    adjusters: Sequence[Adjuster]


class _Proven(NamedTuple):
    """What was worked out before the lock, and the state of what it follows from: as long as that stays, it holds."""

    proof: Reconciliation
    state: list[dict[str, Any]]
    charges: HourDigests
    corrections: pa.Table


def close_period(
    ledger: Ledger,
    period: Period,
    *,
    closed_by: str,
    exception: str = "",
    adjusters: Sequence[Adjuster] = ADJUSTERS,
) -> CloseReport:
    """Close a period: from now on its charges are final, and what is learned later becomes corrections.

    Raises PeriodError where it has not ended, overlaps a closed one, leaves earlier charges open, or is not clean
    (unpriced time, a violated proof) and no `exception` says who accepts that and why; ConfigError where it is off the
    hour, or where `closed_by` and `exception` are not what a bill can show.
    """
    require_hours(period)
    closed_by, exception = words("who closes it", closed_by), words("the exception", exception)
    if not closed_by:
        raise ConfigError(f"nobody closes {period.label}", hint='say who does: --by NAME, or "by"')
    with ledger.snapshot() as session:
        require_closable(session, period, ledger.now_us())
    proven = _prove(ledger, period)  # which takes long, and keeps nobody from writing
    with ledger.alone():
        _rate(ledger, period)
        with ledger.snapshot() as session:
            moved = _state(session, period) != proven.state
        if moved:  # data arrived meanwhile
            proven = _prove(ledger, period)
        with ledger.transaction() as session:
            totals = integers(_one(session, "period_totals", period))
            require_closable(session, period, ledger.now_us())
            wrong = [*_early(ledger, period), *_unclean(session, period, totals, proven.proof)]
            if wrong and not exception:
                raise PeriodError(
                    f"{period.label} is not clean: {'; '.join(wrong)}",
                    hint="put that right, or close it with an exception that says who accepts it and why",
                )
            accepted = "; ".join([exception, *wrong]) if wrong else ""
            order = _Order(period, closed_by, accepted, ledger.now_us(), adjusters)
            return _close(session, order, totals, proven)


def _rate(ledger: Ledger, period: Period) -> None:
    """Rate what waits, and whatever older versions rated: a bill follows from the versions that it pins alone."""
    with ledger.transaction() as session:
        prices, owners = newest_prices(session), newest_owners(session)
        versions = {
            "newest_prices": prices.version.number if prices else None,
            "newest_owners": owners.version.number if owners else None,
        }
        session.execute("rate_mark_stale", {"from_us": period.start_us, "to_us": period.end_us, **versions})
    rate_dirty(ledger)


def _prove(ledger: Ledger, period: Period) -> _Proven:
    _rate(ledger, period)
    with ledger.snapshot() as session:
        state = _state(session, period)
        charges = charge_digests(session, period.start_us, period.end_us)
        corrections = session.execute("corrections_pending")
    return _Proven(reconcile(ledger, period), state, charges, corrections)


def _state(session: Session, period: Period) -> list[dict[str, Any]]:
    return [_one(session, "period_state", period), *session.execute("corrections_state").to_pylist()]


def require_closable(session: Session, period: Period, now_us: int) -> None:
    """Raise PeriodError where a period cannot be closed whatever is accepted: it is closed, not over, or not next."""
    closed = closed_periods(session)
    for other in closed:
        if other.from_us < period.end_us and period.start_us < other.to_us:
            raise PeriodError(
                f"{other.label} is closed since {iso(other.closed_us)}",
                hint="a closed period stays as it is; what is learned later is corrected on the next one",
            )
        if other.label == period.label:  # the same words in another zone
            raise PeriodError(
                f'{iso(other.from_us)}..{iso(other.to_us)} was closed as "{period.label}": no two bills have one name',
                hint=f"write it in UTC: {iso(period.start_us)}..{iso(period.end_us)}",
            )
    earliest = session.execute("period_earliest_open").to_pylist()[0]["hour_us"]
    if earliest is not None and earliest < period.start_us:
        raise PeriodError(
            f"charges from {iso(earliest)} on, before {period.label}, are still open",
            hint=f"close them first: gpuledger period close {_open_around(closed, earliest, period)}",
        )
    if now_us < period.end_us:
        raise PeriodError(f"{period.label} ends at {iso(period.end_us)}, which is not yet", hint="close it after that")


def _open_around(closed: Sequence[ClosedPeriod], at_us: int, before: Period) -> str:
    """Return the month in which `at_us` lies, or what is open of it before another period begins."""
    month = month_of(at_us, find_zone(before.zone))
    start_us = max([month.start_us, *(each.to_us for each in closed if each.to_us <= at_us)])
    end_us = min([month.end_us, before.start_us, *(each.from_us for each in closed if each.from_us > at_us)])
    whole = (start_us, end_us) == (month.start_us, month.end_us)
    return month.label if whole else f"{iso(start_us)}..{iso(end_us)}"


def _early(ledger: Ledger, period: Period) -> list[str]:
    """Return that late data is still waited for, while it is."""
    until_us = period.end_us + ledger.calendar.grace_us
    return [f"late data is waited for until {iso(until_us)}"] if ledger.now_us() < until_us else []


def _unclean(session: Session, period: Period, totals: dict[str, Any], proof: Reconciliation) -> list[str]:
    """Return what keeps the period from being closed without an exception."""
    wrong: list[str] = []
    late = [row["cluster"] for row in session.execute("select_reach").to_pylist() if row["until_us"] < period.end_us]
    if late:
        wrong.append(f"data of {', '.join(sorted(late))} does not reach its end yet")
    if not totals["charge_count"]:
        wrong.append("nothing was charged in it")
    if totals["unpriced_part_us"]:
        wrong.append(f"{hours(totals['unpriced_part_us']):,.1f} GPU-hours have no price")
    if totals["pending_hours"]:
        wrong.append(f"{totals['pending_hours']} hours wait to be rated")
    if not proof.ok:
        wrong.append(
            f"the proof fails: {proof.violations[0].detail if proof.violations else 'see gpuledger reconcile'}"
        )
    return wrong


def _close(session: Session, order: _Order, totals: dict[str, Any], proven: _Proven) -> CloseReport:
    period = order.period
    prices, owners = newest_prices(session), newest_owners(session)
    shares, policies = newest_shares(session), newest_policies(session)
    period_id = len(closed_periods(session)) + 1
    session.execute("corrections_insert", {"period_id": period_id}, {"new_corrections": proven.corrections})
    corrected = integers(session.execute("corrections_totals", {"period_id": period_id}).to_pylist()[0])
    adjustments = adjustments_of(session, period, order.adjusters)
    store(session, period_id, adjustments)
    bounds = {"period_id": period_id, "from_us": period.start_us, "to_us": period.end_us}
    closed = ClosedPeriod(
        **bounds,
        label=period.label,
        closed_us=order.at_us,
        closed_by=order.closed_by,
        exception=order.exception,
        currency=prices.book.currency if prices else "",
        price_version=prices.version.number if prices else None,
        owner_version=owners.version.number if owners else None,
        share_version=shares.version.number if shares else None,
        policy_version=policies.version.number if policies else None,
        charge_count=totals["charge_count"],
        charge_quanta=totals["charge_quanta"],
        unpriced_part_us=totals["unpriced_part_us"],
        unobserved_part_us=totals["unobserved_part_us"],
        correction_count=corrected["correction_count"],
        correction_quanta=corrected["correction_quanta"],
        adjustment_count=len(adjustments),
        adjustment_quanta=sum(each.cost_quanta for each in adjustments),
        digest=seal(session, period_id, proven.charges),
        zone=period.zone,
        last_batch_id=session.execute("select_heads").to_pylist()[0]["next_batch_id"] - 1,
    )
    session.execute("period_insert", closed._asdict())
    invoices = _invoice(session, closed, bounds)
    sealed = {"digest": closed.digest.decode(), "closed_by": closed.closed_by, "exception": closed.exception}
    sealed["method"] = METHOD
    record(session, order.at_us, "period.close", closed.label, {**sealed, "invoices": len(invoices)})
    return CloseReport(
        period_id=period_id,
        label=period.label,
        charges=closed.charge_count,
        corrections=closed.correction_count,
        adjustments=closed.adjustment_count,
        invoices=len(invoices),
        currency=closed.currency,
        cost=money(closed.cost_quanta),
        payable=cents(sum(invoice.payable_cents for invoice in invoices)),
        digest=closed.digest.decode(),
        exception=order.exception,
    )


def _invoice(session: Session, closed: ClosedPeriod, bounds: dict[str, int]) -> list[Invoice]:
    rows = [integers(row) for row in session.execute("invoice_groups", bounds).to_pylist()]
    first = session.execute("invoice_last").to_pylist()[0]["invoice_number"] + 1
    invoices = make_invoices([Billed(**row) for row in rows], first, smallest_cents(closed.currency))
    billed = sum(invoice.cost_quanta for invoice in invoices)
    if billed != closed.cost_quanta:
        raise LedgerError(
            f"the invoices of {closed.label} sum to {money(billed)}, its bill to {money(closed.cost_quanta)}",
            hint="this is a fault of the ledger: report it; nothing was closed",
        )
    documents = [_document(invoice, closed) for invoice in invoices]
    lines = [row for invoice in invoices for row in _lines(invoice)]
    session.execute("insert_invoices", tables={"new_invoices": pa.Table.from_pylist(documents, schema=_INVOICES)})
    session.execute("insert_invoice_lines", tables={"new_lines": pa.Table.from_pylist(lines, schema=_LINES)})
    return invoices


def _document(invoice: Invoice, closed: ClosedPeriod) -> dict[str, Any]:
    organisation, department, team = invoice.owner
    return {
        "invoice_number": invoice.number,
        "period_id": closed.period_id,
        "kind": invoice.kind,
        "organisation": organisation,
        "department": department,
        "team": team,
        "currency": closed.currency,
        "part_us": invoice.part_us,
        "observed_part_us": invoice.observed_part_us,
        "cost_quanta": invoice.cost_quanta,
        "payable_cents": invoice.payable_cents,
        "issued_us": closed.closed_us,
    }


def _lines(invoice: Invoice) -> list[dict[str, Any]]:
    names = ("kind", "project", "model", "mig_profile", "state", "corrects", "because")
    amounts = ("part_us", "unpriced_part_us", "cost_quanta")
    return [
        {
            "invoice_number": invoice.number,
            "line": number,
            "payable_cents": line.payable_cents,
            **{name: getattr(line.billed, name) for name in (*names, *amounts)},
        }
        for number, line in enumerate(invoice.lines, start=1)
    ]


def cents(amount: int) -> str:
    """Return whole cents as an amount with two decimals."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def _one(session: Session, name: str, period: Period) -> dict[str, Any]:
    [row] = session.execute(name, {"from_us": period.start_us, "to_us": period.end_us}).to_pylist()
    return dict(row)

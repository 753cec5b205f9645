"""The adjustments that follow from shares: what loans cost their borrowers, and whose the idle part of a share is.

Each moves cost: a borrower pays exactly what its lender is credited, and what an owner pays for the idle part of its
share the platform no longer does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from collector.ledger.database import Session
from collector.periods.lending import shared_hours
from collector.pricing.shares import StoredShares, newest_shares
from gpuledger.accounting.adjustments import IDLE_SHARE, LOAN, Adjustment
from gpuledger.accounting.globs import is_glob
from gpuledger.accounting.loans import share_idle
from gpuledger.accounting.periods import Period
from gpuledger.accounting.shares import IDLE_OWNER, Scope, ShareBook, Team
from gpuledger.model import State

_PLATFORM: Team = ("", "", "")


class _Moved(NamedTuple):
    """What of a scope is moved, between whom: a borrower and a lender, or an owner and the platform."""

    scope: Scope
    payer: Team
    credited: Team


_Sums = defaultdict[_Moved, list[int]]  # microseconds x parts, and quanta


def loans_of(session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return what borrowers pay and lenders are credited in `period`, where shares say that a loan costs something."""
    shares = newest_shares(session)
    if shares is None or not any(_priced(shares.book)):
        return []
    sums: _Sums = defaultdict(lambda: [0, 0])
    for hour in shared_hours(session, period.interval, shares.book):
        for (borrower, lender, amount), price_quanta in hour.loans:
            if price_quanta is not None:
                moved = _Moved(hour.scope, hour.parties[borrower].team, hour.parties[lender].team)
                _add(sums[moved], amount, price_quanta)
    return _lines(sums, LOAN, period, shares)


def idle_of(session: Session, period: Period, before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return what owners pay of the cost of idle time, for the idle part of their shares, where the book says so.

    Nothing where idle time has been moved already: it is paid for once. What was unavailable or unobserved is not idle.
    """
    shares = newest_shares(session)
    moved = any(each.kind == IDLE_SHARE and each.state == State.IDLE for each in before)
    if shares is None or shares.book.idle != IDLE_OWNER or moved:
        return []
    sums: _Sums = defaultdict(lambda: [0, 0])
    for hour in shared_hours(session, period.interval, shares.book):
        idle = [row.idle for row in hour.rows]
        costs = share_idle(hour.idle_quanta, idle, hour.idle_us)
        for party, amount, cost_quanta in zip(hour.parties, idle, costs, strict=True):
            _add(sums[_Moved(hour.scope, party.team, _PLATFORM)], amount, cost_quanta)
    return _lines(sums, IDLE_SHARE, period, shares)


def _priced(book: ShareBook) -> Iterator[bool]:
    return (share.loan_percent is not None or share.loan_rate_quanta is not None for share in book.shares)


def _add(found: list[int], amount: int, cost_quanta: int) -> None:
    found[0] += amount
    found[1] += cost_quanta


def _lines(sums: _Sums, kind: str, period: Period, shares: StoredShares) -> list[Adjustment]:
    """Return two lines for each that was moved: what its payer pays, and what the other is credited."""
    lines: list[Adjustment] = []
    for moved, (amount, cost_quanta) in sorted(sums.items()):
        if not cost_quanta:
            continue
        where = moved.scope.describe()
        paid, credited = _words(kind, moved)
        line = Adjustment(
            kind=kind,
            because=f"{paid} ({where})",
            reference=shares.reference,
            from_us=period.start_us,
            to_us=period.end_us,
            cost_quanta=cost_quanta,
            model="" if is_glob(moved.scope.model) else moved.scope.model,
            state=State.IDLE if kind == IDLE_SHARE else 0,
            part_us=amount,
        )
        back = line._replace(because=f"{credited} ({where})", cost_quanta=-cost_quanta)
        lines += [_of(moved.payer, line), _of(moved.credited, back)]
    return lines


def _words(kind: str, moved: _Moved) -> tuple[str, str]:
    """Return what the payer's line is about, and the other's."""
    if kind == IDLE_SHARE:
        return "idle part of the share", f"idle part of the share of {moved.payer[2]}, paid by it"
    borrower = moved.payer[2] or "holders that no owner rule names"
    return f"on loan from {moved.credited[2]}", f"on loan to {borrower}"


def _of(team: Team, line: Adjustment) -> Adjustment:
    organisation, department, name = team
    return line._replace(organisation=organisation, department=department, team=name)

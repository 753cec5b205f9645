"""Loans between teams as an answer: who had how much of whose share, what it cost, and when it was taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from collector.ledger.store import Ledger
from collector.periods.lending import PricedLoan, SharedHour, books_of, shared_hours
from collector.queries.figures import Span, hours, instant, money, span
from collector.queries.standing import standing
from gpuledger.accounting.periods import Period, iso, require_hours
from gpuledger.accounting.shares import Scope, Team
from gpuledger.accounting.units import US_PER_HOUR


class LoanRow(msgspec.Struct, frozen=True):
    """What one team had of another's share of a scope; a borrower without a name is whoever no owner rule names.

    It ran in `hours` hours between `first` and `until`, at most `most_gpus` in one. `price` is what the borrower pays
    and the lender is credited; None where the lender's share has no price for loans. It was taken back in each hour in
    which the lender held more of its share than in the hour before, and the borrower had less of it.
    """

    cluster: str
    pool: str
    model: str
    borrower_organisation: str
    borrower_department: str
    borrower: str
    lender_organisation: str
    lender_department: str
    lender: str
    gpu_hours: float
    hours: int
    most_gpus: float
    first: str
    until: str
    price: str | None
    reclaims: int
    last_reclaimed: str | None


class Loans(msgspec.Struct, frozen=True):
    """All loans of a period; what is borrowed is what is lent, and what is paid is what is credited.

    `share_versions` are those of the share book that it follows from: closed periods keep theirs.
    """

    currency: str | None
    period: Span
    share_versions: list[int]
    rows: list[LoanRow]
    gpu_hours: float
    price: str | None
    pending_hours: int
    as_of: str | None
    final: bool


@dataclass(slots=True)
class _Sum:
    amount: int = 0
    most: int = 0
    hours: set[int] = field(default_factory=set)
    price_quanta: int | None = None
    reclaimed: list[int] = field(default_factory=list)

    def add(self, hour_us: int, loan: PricedLoan) -> None:
        self.amount += loan.loan.amount
        self.most = max(self.most, loan.loan.amount)
        self.hours.add(hour_us)
        if loan.price_quanta is not None:
            self.price_quanta = (self.price_quanta or 0) + loan.price_quanta


_Pair = tuple[Scope, Team, Team]  # borrower, then lender


def loans(ledger: Ledger, period: Period) -> Loans:
    """Return the loans of `period`. Raises ConfigError on a period off the hour."""
    require_hours(period)
    now = standing(ledger, period)
    sums: dict[_Pair, _Sum] = {}
    before: dict[Scope, SharedHour] = {}
    with ledger.snapshot() as session:
        books = books_of(session, period.interval)
        for each in books:
            for hour in shared_hours(session, each.span, each.shares.book):
                for loan in hour.loans:
                    sums.setdefault(_pair(hour, loan), _Sum()).add(hour.hour_us, loan)
                for pair in _reclaimed(before.get(hour.scope), hour):
                    sums[pair].reclaimed.append(hour.hour_us)
                before[hour.scope] = hour
    paid = [found.price_quanta for found in sums.values() if found.price_quanta is not None]
    ordered = sorted(sums.items(), key=lambda item: (-item[1].amount, item[0]))
    return Loans(
        currency=now.currency,
        period=span(period),
        share_versions=sorted({each.shares.version.number for each in books}),
        rows=[_row(pair, found) for pair, found in ordered],
        gpu_hours=hours(sum(found.amount for found in sums.values())),
        price=money(sum(paid)) if paid else None,
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
        final=now.final,
    )


def _pair(hour: SharedHour, loan: PricedLoan) -> _Pair:
    return hour.scope, hour.parties[loan.loan.borrower].team, hour.parties[loan.loan.lender].team


def _reclaimed(before: SharedHour | None, hour: SharedHour) -> list[_Pair]:
    """Return the loans of the hour before of which the lender took something back for itself."""
    if before is None or before.hour_us + US_PER_HOUR != hour.hour_us or not before.loans:
        return []
    running = {_pair(hour, loan): loan.loan.amount for loan in hour.loans}
    own = {party.team: row.own for party, row in zip(hour.parties, hour.rows, strict=True)}
    return [
        pair
        for loan in before.loans
        if running.get(pair := _pair(before, loan), 0) < loan.loan.amount
        and own.get(pair[2], 0) > before.rows[loan.loan.lender].own
    ]


def _row(pair: _Pair, found: _Sum) -> LoanRow:
    scope, borrower, lender = pair
    return LoanRow(
        **scope._asdict(),
        borrower_organisation=borrower[0],
        borrower_department=borrower[1],
        borrower=borrower[2],
        lender_organisation=lender[0],
        lender_department=lender[1],
        lender=lender[2],
        gpu_hours=hours(found.amount),
        hours=len(found.hours),
        most_gpus=hours(found.most),
        first=iso(min(found.hours)),
        until=iso(max(found.hours) + US_PER_HOUR),
        price=money(found.price_quanta),
        reclaims=len(found.reclaimed),
        last_reclaimed=instant(max(found.reclaimed, default=None)),
    )

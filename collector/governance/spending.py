"""What owners spent in a period, as on their bills: charges of its hours, and what else is on bills that begin in it.

Charges are cut by the hour. Corrections and adjustments belong to a bill as a whole, and count where that bill begins:
once, in one month, one quarter and one year.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import tzinfo
from functools import partial
from typing import Any, NamedTuple

from collector.ledger.database import Session
from collector.periods.adjusting import adjustments_of, stored
from collector.periods.closed import ClosedPeriod, closed_periods
from collector.periods.committing import contracts_ahead
from collector.periods.lending import names_of_shares
from collector.pricing.shares import newest_shares
from collector.pricing.stored import newest_prices
from collector.queries.billing import following, open_periods
from gpuledger.accounting.adjustments import COMMITMENT, MOVES, Adjustment
from gpuledger.accounting.budgets import EVERYTHING, Observed, Spend, is_part, spent
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.periods import Period
from gpuledger.accounting.reserved import reserved_ahead
from gpuledger.accounting.shares import IDLE_OWNER, Kind, Team

Spends = dict[str, Spend]  # by the path of the owner that pays; an empty one is the platform
_RUNNING = frozenset({*MOVES, COMMITMENT})  # adjustments that come with time


class _Bill(NamedTuple):
    """A bill, closed (`period_id`) or as it would be now; `next`: what waits goes onto it."""

    period: Period
    period_id: int
    next: bool


class Spending:
    """Answers from one snapshot; what several periods have in common is read once."""

    def __init__(self, session: Session, zone: tzinfo) -> None:
        self._session = session
        self._closed = closed_periods(session)
        self._bills = _bills(session, self._closed, zone)
        self._reach = session.execute("select_reach").to_pylist()
        self._books = newest_prices(session)
        self._besides: dict[_Bill, Spends] = {}
        self._found: dict[Interval, Spends] = {}
        self._reservations: dict[Interval, dict[str, int | None]] = {}

    @property
    def currency(self) -> str | None:
        """Return the currency of what is open; None where there is no price book."""
        return self._books.book.currency if self._books else None

    def observed(self, period: Interval) -> Observed:
        """Return what of a period data covers, of any cluster."""
        from_us = min((row["from_us"] for row in self._reach), default=period.start_us)
        until_us = max((row["until_us"] for row in self._reach), default=period.start_us)
        inside = max(period.start_us, min(until_us, period.end_us))
        return Observed(period, min(max(from_us, period.start_us), inside), inside)

    def watched(self, period: Interval) -> Observed:
        """Return the same less the time that nobody watched: of all devices, each by its size."""
        covered = self.observed(period)
        whole = spent(EVERYTHING, self.within(period).items())
        if not whole.unseen_part_us:
            return covered
        length_us = covered.until_us - covered.from_us
        return covered._replace(unseen_us=length_us * whole.unseen_part_us // whole.part_us)

    def currencies(self, period: Interval) -> set[str]:
        """Return the currencies in which time of a period is billed, and bills that begin in it."""
        parts = [each for each in self._closed if each.from_us < period.end_us and each.to_us > period.start_us]
        found = {each.currency for each in parts if each.currency}
        if self.currency and gaps([Interval(each.from_us, each.to_us) for each in parts], self._seen(period)):
            found.add(self.currency)
        return found

    def within(self, period: Interval) -> Spends:
        """Return what each owner spent in a period; what the platform pays is of an empty one."""
        if period not in self._found:
            found: defaultdict[str, Spend] = defaultdict(Spend)
            bounds = {"from_us": period.start_us, "to_us": period.end_us}
            for row in self._session.execute("budget_charged", bounds).to_pylist():
                spend = Spend(
                    int(row["cost_quanta"]), 0, *_times(row), int(row["unobserved_part_us"]), int(row["unseen_part_us"])
                )
                found[_path(row)] = found[_path(row)].plus(spend)
            for bill in self._bills:
                if period.start_us <= bill.period.start_us < period.end_us:
                    for owner, spend in self._beside(bill).items():
                        found[owner] = found[owner].plus(spend)
            self._found[period] = dict(found)
        return self._found[period]

    def ahead(self, period: Interval, owner: str) -> int | None:
        """Return what an owner is committed to for the rest of a period, used or not; None where that is not known.

        Of everything: the larger of what contracts cost and what owners reserve, which may be the same GPUs.
        """
        if self._books is None:
            return None
        left = Interval(max(period.start_us, self.observed(period).until_us), period.end_us)
        reserved = [quanta for path, quanta in self._reserved(left).items() if is_part(path, owner)]
        if any(quanta is None for quanta in reserved):
            return None
        own_quanta = sum(quanta or 0 for quanta in reserved)
        return max(own_quanta, contracts_ahead(self._books.book, left)) if owner == EVERYTHING else own_quanta

    def _reserved(self, left: Interval) -> dict[str, int | None]:
        """Return what shares reserve for the owners that pay for their idle part, by their path."""
        if left not in self._reservations:
            shares = newest_shares(self._session)
            found: dict[Team, int | None] = {}
            if shares is not None and self._books is not None and shares.book.idle == IDLE_OWNER:
                rows = self._session.execute("share_devices").to_pylist()
                kinds = [Kind(*(row[name] for name in Kind._fields)) for row in rows]
                names = names_of_shares(self._session, shares.book, [])
                found = reserved_ahead(shares.book, names, self._books.book, kinds, left)
            self._reservations[left] = {"/".join(filter(None, team)): quanta for team, quanta in found.items()}
        return self._reservations[left]

    def _seen(self, period: Interval) -> Interval:
        observed = self.observed(period)
        return Interval(observed.from_us, observed.until_us)

    def _beside(self, bill: _Bill) -> Spends:
        """Return what is on a bill beside charges."""
        if bill not in self._besides:
            found: defaultdict[str, Spend] = defaultdict(Spend)
            corrected = partial(self._session.execute, "budget_corrected")
            if bill.period_id or bill.next:
                for row in corrected({"period_id": bill.period_id}).to_pylist():
                    found[_path(row)] = found[_path(row)].plus(Spend(0, int(row["cost_quanta"]), *_times(row)))
            for each in self._adjustments(bill):
                owner = "/".join(filter(None, each.owner))
                running = each.kind in _RUNNING and not each.corrects
                found[owner] = found[owner].plus(
                    Spend(each.cost_quanta) if running else Spend(once_quanta=each.cost_quanta)
                )
            self._besides[bill] = dict(found)
        return self._besides[bill]

    def _adjustments(self, bill: _Bill) -> tuple[Adjustment, ...]:
        if bill.period_id:
            return stored(self._session, bill.period_id)
        return adjustments_of(self._session, bill.period)


def _bills(session: Session, closed: list[ClosedPeriod], zone: tzinfo) -> list[_Bill]:
    """Return all bills: the closed ones, then the open ones in order of time."""
    found = [_Bill(Period(each.from_us, each.to_us, each.label, each.zone), each.period_id, False) for each in closed]
    waiting = open_periods(session, closed, zone) or ([following(closed, zone)] if closed else [])
    return [*found, *(_Bill(period, 0, not at) for at, period in enumerate(waiting))]


def _path(row: dict[str, Any]) -> str:
    return "/".join(filter(None, (row["organisation"], row["department"], row["team"])))


def _times(row: dict[str, Any]) -> tuple[int, int]:
    return int(row["part_us"]), int(row["unpriced_part_us"])

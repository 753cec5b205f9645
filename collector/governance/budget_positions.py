"""Where each budget stands at an instant: its period, limit with raises, spend, and the stages that are reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from collector.governance.budget_books import StoredBudgets, newest_budgets
from collector.governance.effects import Effect, effects_at
from collector.governance.spending import Spending
from collector.ledger.calendar import Calendar
from collector.ledger.database import Session
from gpuledger.accounting.admitting import Limit, Standing, strictest
from gpuledger.accounting.budgets import (
    ACTUAL,
    EVERYTHING,
    NOTIFY,
    PERIODS,
    Budget,
    Forecast,
    Position,
    Spend,
    Stage,
    exhausted_at,
    newly_reached,
    period_at,
    reached,
    run_rate,
    spent,
)
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import display, from_quanta
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_DAY

FORECAST: Final[Forecast] = run_rate  # how a forecast is made
FORECAST_NAME: Final = "run rate"


class Placed(NamedTuple):
    """A budget in one of its periods: what was spent of it, where that stands, and which stages are reached by it.

    `new` are those that no record has. `note` says why the position is not known, where it is not.
    """

    budget: Budget
    version: int
    period: Period
    position: Position
    spend: Spend
    reached: tuple[Stage, ...]
    new: tuple[Stage, ...]
    exhausted_us: int | None
    note: str
    current: bool  # now lies in the period

    @property
    def action(self) -> str:
        """Return the strictest of what the reached stages do; nothing where none is reached."""
        return strictest([each.action for each in self.reached])


def placed_budgets(
    session: Session, calendar: Calendar, now_us: int, forecast: Forecast = FORECAST, book: StoredBudgets | None = None
) -> list[Placed]:
    """Return all budgets of the newest book in the period that `now_us` lies in, in the order of the book.

    A period that has ended follows its successor for as long as its bill waits for late data, a day at least.
    """
    stored = book or newest_budgets(session, calendar.days)
    if not stored.book.budgets:
        return []
    spending = Spending(session, calendar.days)
    known: dict[tuple[str, str], set[str]] = {}
    for row in session.execute("budget_crossings").to_pylist():
        known.setdefault((row["budget"], row["period"]), set()).add(row["stage"])
    raises: dict[int, list[Effect]] = {}
    found = []
    for budget, period, at_us in _periods(stored, calendar, now_us):
        if at_us not in raises:
            raises[at_us] = effects_at(session, at_us)
        position, spend, note = _position(budget, period, spending, raises[at_us], forecast)
        new = newly_reached(position, budget.stages, frozenset(known.get((budget.key, period.label), ())))
        observed = spending.watched(period.interval)
        known_rate = position.actual_quanta is not None
        found.append(
            Placed(
                budget,
                stored.version.number,
                period,
                position,
                spend,
                tuple(reached(position, budget.stages)),
                tuple(new),
                exhausted_at(spend, position.whole_quanta, observed) if known_rate else None,
                note,
                period.start_us <= now_us < period.end_us,
            )
        )
    return found


def standing_of(placed: Iterable[Placed], at_us: int) -> Standing:
    """Return what holds and blocks new work now."""
    limits = tuple(
        Limit(each.budget.owner, stage.action, why_limited(each, stage))
        for each in placed
        if each.current
        for stage in each.reached
        if stage.action != NOTIFY
    )
    return Standing(at_us, limits)


def why_limited(each: Placed, stage: Stage) -> str:
    """Return in words which stage of which budget is reached, and by how much."""
    amount = each.position.measured(stage.measure)
    assert amount is not None
    spends = {ACTUAL: "spent"}.get(stage.measure, f"spent by {stage.measure}")
    whole = _money(each.position.whole_quanta)
    return (
        f"{_money(amount)} of {whole} {each.budget.currency} {spends} by {whose(each.budget.owner)} in"
        f" {each.period.label}: {stage.percent} % is reached"
    )


def whose(owner: str) -> str:
    """Return an owner in words."""
    return "everybody" if owner == EVERYTHING else owner


def _periods(stored: StoredBudgets, calendar: Calendar, now_us: int) -> Iterator[tuple[Budget, Period, int]]:
    """Yield each budget with its current period, and with the one before that while late data is waited for.

    The instant is the one whose entry and raises count: now, or the last of a period that is over.
    """
    wait_us = max(calendar.grace_us, US_PER_DAY)
    for budget in stored.book.budgets:
        now = period_at(budget, now_us, calendar.days)
        before = period_at(budget, now.start_us - 1, calendar.days)
        for period in (before, now) if before.label != now.label else (now,):
            at_us = min(now_us, period.end_us - 1)
            late = now_us >= period.end_us + wait_us and budget.period in PERIODS
            if budget.validity.holds_at(at_us) and period.start_us <= now_us and not late:
                yield budget, period, at_us


def _position(
    budget: Budget, period: Period, spending: Spending, raises: list[Effect], forecast: Forecast
) -> tuple[Position, Spend, str]:
    raise_quanta = sum(
        each.amount_quanta or 0
        for each in raises
        if (each.kind, each.owner, each.currency) == ("budget", budget.owner, budget.currency)
    )
    whole = Interval(period.start_us, period.end_us)
    strange = spending.currencies(whole) - {budget.currency}
    unknown = Position(budget.limit_quanta, raise_quanta, None, None, None)
    if strange:
        return unknown, Spend(), f"billed in {', '.join(sorted(strange))}, which is not added to {budget.currency}"
    spend = spent(budget.owner, spending.within(whole).items())
    if spend.part_us and spend.part_us == spend.unpriced_part_us and not spend.actual_quanta:
        return unknown, spend, "none of its time has a price"
    observed = spending.watched(whole)
    ahead = spending.ahead(whole, budget.owner)
    actual = spend.actual_quanta
    position = Position(
        limit_quanta=budget.limit_quanta,
        raise_quanta=raise_quanta,
        actual_quanta=actual,
        committed_quanta=None if ahead is None else actual + ahead,
        forecast_quanta=forecast(spend, observed),
    )
    return position, spend, "" if observed.elapsed_us else "no data of it yet"


def _money(amount_quanta: int) -> str:
    return f"{display(from_quanta(amount_quanta)):,}"

"""Budgets: what an owner may spend in a period, the stages on the way there, and where spending stands and leads.

All amounts are whole quanta. A stage is reached where its measure (actual, committed or forecast spend) is at least so
many per cent of the limit; raises that are in force are a part of the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Final, NamedTuple

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period, from_us, month_of, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.accounting.validity import Validity

NOTIFY: Final = "notify"
HOLD: Final = "hold"
BLOCK: Final = "block"
ACTIONS: Final = (NOTIFY, HOLD, BLOCK)  # the later, the stricter
ACTUAL: Final = "actual"
COMMITTED: Final = "committed"
FORECAST: Final = "forecast"
MEASURES: Final = (ACTUAL, COMMITTED, FORECAST)
PERIODS: Final = ("month", "quarter", "year")  # beside FROM..TO
EVERYTHING: Final = "*"  # the owner of all that is spent, the platform's part too
_MILLIS: Final = 100_000  # thousandths of a per cent in the whole


class Stage(NamedTuple):
    """At `percent_millis` thousandths of a per cent of the limit, by `measure`: what is done, and who is told."""

    percent_millis: int
    measure: str = ACTUAL
    action: str = NOTIFY
    tell: tuple[str, ...] = ()

    @property
    def percent(self) -> str:
        """Return the per cent as people write it."""
        whole, rest = divmod(self.percent_millis, 1_000)
        return f"{whole}.{rest:03}".rstrip("0").rstrip(".") if rest else str(whole)

    @property
    def key(self) -> str:
        """Return what tells it apart from the other stages of its budget: whom it tells does not."""
        return f"{self.action} at {self.percent} % of {self.measure}"


class Budget(NamedTuple):
    """One entry of the budget book: `period` is month, quarter, year or FROM..TO, by the days of the billing zone."""

    owner: str
    period: str
    currency: str
    limit_quanta: int
    stages: tuple[Stage, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the entry holds."""
        return Validity(self.from_us, self.to_us)

    @property
    def key(self) -> str:
        """Return what stays the same when the amount is another: entries of one key follow each other in time."""
        return f"{self.owner} {self.period} {self.currency}"


class Spend(NamedTuple):
    """What an owner spent in a period, by the bill.

    `running_quanta` comes with time (charges, what moves them); `once_quanta` does not (corrections of earlier periods,
    disputes, amounts that people entered). Time is in microseconds x parts of a GPU.
    """

    running_quanta: int = 0
    once_quanta: int = 0
    part_us: int = 0
    unpriced_part_us: int = 0
    unobserved_part_us: int = 0
    unseen_part_us: int = 0  # of that, what nobody is known to have held: nothing is billed for it

    @property
    def actual_quanta(self) -> int:
        """Return all of it."""
        return self.running_quanta + self.once_quanta

    def plus(self, other: Spend) -> Spend:
        """Return the sum of both."""
        return Spend(*(a + b for a, b in zip(self, other, strict=True)))


class Observed(NamedTuple):
    """A period, and the part `[from_us, until_us)` of it that data covers so far; nobody watched `unseen_us` of it."""

    period: Interval
    from_us: int
    until_us: int
    unseen_us: int = 0

    @property
    def elapsed_us(self) -> int:
        """Return how much of the period was seen."""
        return max(0, self.until_us - self.from_us - self.unseen_us)

    @property
    def left_us(self) -> int:
        """Return how much of it is still to come."""
        return max(0, self.period.end_us - max(self.until_us, self.period.start_us))


Forecast = Callable[[Spend, Observed], int | None]


def run_rate(spend: Spend, observed: Observed) -> int | None:
    """Return what the period comes to if it goes on as it went, per elapsed time that was seen; rounded half to even.

    None where less than an hour was seen and more is to come: nothing follows from so little.
    """
    if not observed.left_us:
        return spend.actual_quanta
    if observed.elapsed_us < US_PER_HOUR:
        return None
    return spend.actual_quanta + _rounded(spend.running_quanta * observed.left_us, observed.elapsed_us)


def exhausted_at(spend: Spend, limit_quanta: int, observed: Observed) -> int | None:
    """Return when spending at its run rate reaches the limit within the period; None where it does not, or has."""
    left_quanta = limit_quanta - spend.actual_quanta
    if left_quanta <= 0 or spend.running_quanta <= 0 or observed.elapsed_us < US_PER_HOUR:
        return None
    at_us = observed.until_us - (-left_quanta * observed.elapsed_us // spend.running_quanta)
    return at_us if at_us < observed.period.end_us else None


class Position(NamedTuple):
    """Where a budget stands: its limit with the raises in force, and each measure (None: not known)."""

    limit_quanta: int
    raise_quanta: int
    actual_quanta: int | None
    committed_quanta: int | None
    forecast_quanta: int | None

    @property
    def whole_quanta(self) -> int:
        """Return what may be spent now."""
        return self.limit_quanta + self.raise_quanta

    def measured(self, measure: str) -> int | None:
        """Return one measure."""
        return {
            ACTUAL: self.actual_quanta,
            COMMITTED: self.committed_quanta,
            FORECAST: self.forecast_quanta,
        }[measure]

    def reaches(self, stage: Stage) -> bool:
        """Tell whether a stage is reached: what is not known reaches none, what may cost nothing is reached by any."""
        amount = self.measured(stage.measure)
        if amount is None or amount <= 0:
            return False
        return amount * _MILLIS >= stage.percent_millis * self.whole_quanta

    def percent_millis(self) -> int | None:
        """Return actual spend in thousandths of a per cent of the whole, rounded down; None of nothing."""
        if self.actual_quanta is None or not self.whole_quanta:
            return None
        return self.actual_quanta * _MILLIS // self.whole_quanta


def in_order(stages: Iterable[Stage]) -> list[Stage]:
    """Return stages as they are gone through: by per cent, then the milder first."""
    return sorted(stages, key=lambda each: (each.percent_millis, ACTIONS.index(each.action), each.measure))


def reached(position: Position, stages: Iterable[Stage]) -> list[Stage]:
    """Return the stages that are reached, in their order."""
    return [each for each in in_order(stages) if position.reaches(each)]


def newly_reached(position: Position, stages: Iterable[Stage], known: frozenset[str]) -> list[Stage]:
    """Return the stages that are reached and are not among the keys of those that were before, in their order."""
    return [each for each in reached(position, stages) if each.key not in known]


def is_part(owner: str, node: str) -> bool:
    """Tell whether what `owner` spends is spent by `node`: it is the node, beneath it, or the node is everything."""
    return node in (EVERYTHING, owner) or owner.startswith(f"{node}/")


def spent(node: str, parts: Iterable[tuple[str, Spend]]) -> Spend:
    """Return what a node and all beneath it spent, of the spends of owners by their path; each counts once."""
    found = Spend()
    for owner, spend in parts:
        if is_part(owner, node):
            found = found.plus(spend)
    return found


def period_at(budget: Budget, at_us: int, zone: tzinfo) -> Period:
    """Return the period of a budget that an instant lies in, by the days of `zone`; one that is FROM..TO is always it.

    Raises ConfigError where it cannot be read, or begins or ends off the hour.
    """
    return named_period(budget.period, at_us, zone)


def named_period(name: str, at_us: int, zone: tzinfo) -> Period:
    """Return the month, quarter or year that an instant lies in, by the days of `zone`; FROM..TO is always itself.

    Raises ConfigError where it cannot be read, or begins or ends off the hour.
    """
    day = from_us(at_us).astimezone(zone)
    if name == "month":
        return month_of(at_us, zone)
    if name == "quarter":
        return parse_period(f"{day.year:04}-Q{(day.month + 2) // 3}", zone)
    if name == "year":
        return parse_period(f"{day.year:04}-01-01..{day.year + 1:04}-01-01", zone)._replace(label=f"{day.year:04}")
    return parse_period(name, zone)


def _rounded(number: int, by: int) -> int:
    whole, rest = divmod(number, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2 == 1))

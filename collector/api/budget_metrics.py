"""Budgets as metrics: limit, what is spent and forecast of it, how much of the period is over, and notices.

Labels are the owner, the kind of period and the currency, of the budgets that hold now: `MOST` at most, in the order of
the book, and how many were left out has a metric of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from collector.governance.budget_positions import Placed
from collector.ledger.store import Ledger
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import QUANTA_PER_UNIT

MOST: Final = 2_000
_LABELS: Final = ("owner", "period", "currency")
_ENDED: Final = ("sent", "failed", "suppressed")


class BudgetFigures(NamedTuple):
    """One budget in the period that is now: a month, a quarter, a year or FROM..TO; None: not known."""

    owner: str
    period: str
    currency: str
    limit: float
    spent: float | None
    forecast: float | None
    within: Interval = Interval(0, 1)

    def ratio(self, amount: float | None) -> float | None:
        """Return an amount by the limit; None where it is not known, or nothing may be spent."""
        return None if amount is None or not self.limit else amount / self.limit

    def elapsed(self, now_us: int) -> float:
        """Return how much of the period is over, from 0 to 1."""
        return min(1.0, max(0.0, (now_us - self.within.start_us) / self.within.length_us))


class NoticeFigures(NamedTuple):
    """How many notices ended how, and since when the oldest that is due was to be sent (None: none is)."""

    ended: dict[str, int] = dict.fromkeys(_ENDED, 0)
    waiting: int = 0
    due_us: int | None = None


def budget_figures(placed: Iterable[Placed]) -> tuple[BudgetFigures, ...]:
    """Return where budgets stand in the period that is now."""
    return tuple(
        BudgetFigures(
            each.budget.owner,
            each.budget.period,
            each.budget.currency,
            each.position.whole_quanta / QUANTA_PER_UNIT,
            _units(each.position.actual_quanta),
            _units(each.position.forecast_quanta),
            each.period.interval,
        )
        for each in placed
        if each.current
    )


def notice_figures(ledger: Ledger, now_us: int) -> NoticeFigures:
    """Return what became of all notices by now."""
    [row] = ledger.execute("notice_figures", {"now_us": now_us}).to_pylist()
    return NoticeFigures({state: row[state] for state in _ENDED}, row["waiting"], row["due_us"])


def budget_families(budgets: Sequence[BudgetFigures], now_us: int) -> Iterable[Metric]:
    """Yield where budgets stand: nothing where there is none, and no value where one is not known."""
    yield from _family("limit", "What an owner may spend in a period, with raises in force", budgets, [
        each.limit for each in budgets
    ])  # fmt: skip
    yield from _family("spent", "What of it is spent", budgets, [each.spent for each in budgets])
    yield from _family("forecast", "What the period comes to by the run rate", budgets, [
        each.forecast for each in budgets
    ])  # fmt: skip
    yield from _family("spent_ratio", "What is spent, by the limit", budgets, [
        each.ratio(each.spent) for each in budgets
    ])  # fmt: skip
    yield from _family("forecast_ratio", "What the period comes to by the run rate, by the limit", budgets, [
        each.ratio(each.forecast) for each in budgets
    ])  # fmt: skip
    yield from _family("elapsed_ratio", "How much of the period is over", budgets, [
        each.elapsed(now_us) for each in budgets
    ])  # fmt: skip
    if budgets:
        yield GaugeMetricFamily(
            "gpuledger_budgets_left_out",
            "Budgets without metrics of their own, since there are too many",
            value=max(0, len(budgets) - MOST),
        )


def notice_families(notices: NoticeFigures, now_us: int) -> Iterable[Metric]:
    """Yield what became of notices."""
    ended = CounterMetricFamily("gpuledger_notices", "Notices of budgets by how they ended", labels=["state"])
    for state, count in notices.ended.items():
        ended.add_metric([state], count)
    yield ended
    yield GaugeMetricFamily("gpuledger_notices_waiting", "Notices that are still to be sent", value=notices.waiting)
    yield GaugeMetricFamily(
        "gpuledger_notices_overdue_seconds",
        "How long the oldest notice that is due waits; quiet hours and the time until another attempt do not count",
        value=0 if notices.due_us is None else max(0, now_us - notices.due_us) / 1e6,
    )


def _family(name: str, says: str, budgets: Sequence[BudgetFigures], values: Sequence[float | None]) -> Iterable[Metric]:
    family = GaugeMetricFamily(f"gpuledger_budget_{name}", says, labels=_LABELS)
    for each, value in zip(budgets[:MOST], values, strict=False):
        if value is not None:
            family.add_metric([each.owner, each.period, each.currency], value)
    yield family


def _units(amount_quanta: int | None) -> float | None:
    return None if amount_quanta is None else amount_quanta / QUANTA_PER_UNIT

"""Evaluation of budgets: each stage that is reached is recorded once a period, with its audit event and its notices."""

from __future__ import annotations

import threading
from typing import Any, Final, NamedTuple

from collector.audit.actor import acting
from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.budget_positions import FORECAST_NAME, Placed, placed_budgets, standing_of, whose, why_limited
from collector.governance.notices import add_notice
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.admitting import Standing
from gpuledger.accounting.budgets import FORECAST, Stage

COLLECTOR: Final = "collector"
_MEANS: Final = {
    "notify": "Nothing is stopped.",
    "hold": "New work waits until there is room.",
    "block": "New work is refused.",
}


class Crossing(NamedTuple):
    """A stage that a budget reached in a period, and what had been measured then."""

    budget: str
    period: str
    stage: str


class Looked(NamedTuple):
    """What an evaluation recorded, and where budgets stood at its instant."""

    crossings: list[Crossing]
    placed: tuple[Placed, ...]
    at_us: int


def evaluate(ledger: Ledger) -> Looked:
    """Record what budgets reached since; return that, and where they stand. What waits has to be rated before.

    However often and in whatever order it runs, each stage is recorded once a period, the lower ones first.
    """
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        placed = tuple(placed_budgets(session, ledger.calendar, now_us))
    if not any(each.new for each in placed):
        return Looked([], placed, now_us)
    with acting(COLLECTOR), ledger.transaction() as session:
        known = {(row["budget"], row["period"], row["stage"]) for row in _crossings(session)}
        found = [
            _record(session, each, stage, ledger.now_us())
            for each in placed
            for stage in each.new
            if (each.budget.key, each.period.label, stage.key) not in known
        ]
    return Looked(found, placed, now_us)


class BudgetWatch:
    """Holds where budgets stood when they were last looked at, for whoever asks without waiting."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._one = threading.Lock()
        self._standing = Standing()
        self._placed: tuple[Placed, ...] = ()

    @property
    def placed(self) -> tuple[Placed, ...]:
        """Return where each budget stood, for metrics."""
        return self._placed

    @property
    def standing(self) -> Standing:
        """Return it: frozen, and never None. `at_us` is 0 until the first look."""
        return self._standing

    def look(self) -> list[Crossing]:
        """Evaluate all budgets, one caller at a time; what waits has to be rated before. Slow."""
        with self._one:
            found = evaluate(self._ledger)
            self._placed, self._standing = found.placed, standing_of(found.placed, found.at_us)
        return found.crossings


def _crossings(session: Session) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = session.execute("budget_crossings").to_pylist()
    return rows


def _record(session: Session, placed: Placed, stage: Stage, at_us: int) -> Crossing:
    [numbers] = session.execute("budget_crossing_next").to_pylist()
    budget, position = placed.budget, placed.position
    crossing = Crossing(budget.key, placed.period.label, stage.key)
    measured_quanta = position.measured(stage.measure)
    assert measured_quanta is not None
    session.execute(
        "budget_crossing_insert",
        {
            "crossing_id": numbers["crossing_id"],
            **crossing._asdict(),
            "at_us": at_us,
            "budget_version": placed.version,
            "owner": budget.owner,
            "action": stage.action,
            "currency": budget.currency,
            "measured_quanta": measured_quanta,
            "limit_quanta": position.whole_quanta,
        },
    )
    why = why_limited(placed, stage)
    said: dict[str, Value] = {
        "period": crossing.period,
        "stage": crossing.stage,
        "why": why,
        "budgets": placed.version,
        "tell": list(stage.tell),
    }
    record(session, at_us, "budget.stage", crossing.budget, said)
    for number, name in enumerate(stage.tell, numbers["notice_id"]):
        title = f"Budget of {whose(budget.owner)} for {crossing.period}: {stage.percent} % of {stage.measure} spend"
        body = f"{why}. {_MEANS[stage.action]}{_by_rate(stage)}\nDelivery {numbers['crossing_id']}-{name}"
        add_notice(session, number, numbers["crossing_id"], target=name, title=title, body=body, at_us=at_us)
    return crossing


def _by_rate(stage: Stage) -> str:
    return f" The forecast is made by the {FORECAST_NAME}." if stage.measure == FORECAST else ""

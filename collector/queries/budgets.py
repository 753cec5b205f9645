"""Budgets as answers: where each stands, the book, and the record of who was told what."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from collector.governance.budget_books import import_budgets, newest_budgets
from collector.governance.budget_positions import FORECAST_NAME, Placed, placed_budgets
from collector.governance.budgets import evaluate
from collector.governance.notices import load_notices
from collector.governance.owners import known_nodes
from collector.ledger.store import Ledger
from collector.ledger.trial import trial
from collector.pricing.records import FileFormat
from collector.queries.figures import hours, instant, money
from collector.rating import rate_dirty
from gpuledger.accounting.budgets import Budget
from gpuledger.accounting.periods import iso


class BudgetRow(msgspec.Struct, frozen=True, rename={"from_": "from", "raised": "raise"}):
    """One budget in one period `[from, to)`. Money is exact text; None where it is not known, and `note` says why.

    `percent` is spent of limit and raise together. `stage` is the highest stage that is reached now, `action` the
    strictest of what the reached ones do. `exhausted_at`: when the run rate reaches the limit, where it does so within
    the period. `new_stages` are reached and not on record yet.
    """

    owner: str
    period: str
    from_: str
    to: str
    currency: str
    limit: str
    raised: str
    spent: str | None
    committed: str | None
    forecast: str | None
    percent: str | None
    stage: str
    action: str
    exhausted_at: str | None
    unpriced_gpu_hours: float
    unobserved_gpu_hours: float
    note: str
    new_stages: list[str]


class Budgets(msgspec.Struct, frozen=True):
    """Where all budgets of the newest book stand, in its order; `forecast_by`: how forecasts are made."""

    version: int
    at: str
    zone: str
    forecast_by: str
    rows: list[BudgetRow]


class BudgetBookRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One entry of the book, numbered from 1, with its stages in words and whom they tell."""

    entry: int
    owner: str
    period: str
    currency: str
    amount: str | None
    stages: list[str]
    from_: str | None
    to: str | None


class BudgetBookAnswer(msgspec.Struct, frozen=True):
    """The newest budget book; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    rows: list[BudgetBookRow]


class NoticeRow(msgspec.Struct, frozen=True):
    """One notice: to whom, what, and what became of it; `next_at`: when it is tried next, where it waits."""

    notice: int
    to: str
    title: str
    state: str
    attempts: int
    made_at: str
    changed_at: str
    next_at: str | None
    reason: str
    key: str


class Notices(msgspec.Struct, frozen=True):
    """All notices, the newest first."""

    rows: list[NoticeRow]


class BudgetTrial(msgspec.Struct, frozen=True):
    """What an import would do; nothing was stored. `rows` is where each budget would stand."""

    version: int
    entries: int
    changed: bool
    rows: list[BudgetRow]
    warnings: list[str]


class EvaluationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing has to be said: all budgets are evaluated."""


class CrossingRow(msgspec.Struct, frozen=True):
    """A stage that a budget reached in a period."""

    budget: str
    period: str
    stage: str


class Evaluation(msgspec.Struct, frozen=True):
    """What was recorded by an evaluation: every stage once a period."""

    rows: list[CrossingRow]


def budgets(ledger: Ledger) -> Budgets:
    """Return where all budgets stand now; a limited ledger has those of the nodes that it sees the whole of."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        version = newest_budgets(session.whole, ledger.calendar.days).version.number
        placed = placed_budgets(session.whole, ledger.calendar, now_us)
        if session.seen is not None:
            mine = known_nodes(session)
            placed = [each for each in placed if each.budget.owner in mine]
    return Budgets(version, iso(now_us), ledger.calendar.zone, FORECAST_NAME, [_row(each) for each in placed])


def budget_book(ledger: Ledger) -> BudgetBookAnswer:
    """Return the newest budget book."""
    with ledger.snapshot() as session:
        version, book = newest_budgets(session, ledger.calendar.days)
    if not version.number:
        return BudgetBookAnswer(None, None, None, [])
    rows = [_entry(number, each) for number, each in enumerate(book.budgets, 1)]
    return BudgetBookAnswer(version.number, iso(version.imported_us), version.source, rows)


def notices(ledger: Ledger) -> Notices:
    """Return what was told to whom."""
    with ledger.snapshot() as session:
        found = load_notices(session)
    return Notices([
        NoticeRow(
            notice=each.notice_id,
            to=each.target,
            title=each.title,
            state=each.state,
            attempts=each.attempts,
            made_at=iso(each.made_us),
            changed_at=iso(each.at_us),
            next_at=instant(each.due_us or None),
            reason=each.reason,
            key=each.key,
        )
        for each in reversed(found)
    ])  # fmt: skip


def try_budgets(ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str) -> BudgetTrial:
    """Return where the budgets of a file would stand. Raises what the import would raise."""
    rate_dirty(ledger)
    with trial(ledger) as trying:
        report = import_budgets(trying, content, as_format, source=source, imported_us=ledger.now_us())
        rows = budgets(trying).rows
    return BudgetTrial(report.version, report.entries, report.changed, rows, report.warnings)


def evaluate_budgets(ledger: Ledger) -> Evaluation:
    """Rate what waits, evaluate all budgets, and return what was recorded."""
    rate_dirty(ledger)
    return Evaluation([CrossingRow(*each) for each in evaluate(ledger).crossings])


def _row(each: Placed) -> BudgetRow:
    position, millis = each.position, each.position.percent_millis()
    return BudgetRow(
        owner=each.budget.owner,
        period=each.period.label,
        from_=iso(each.period.start_us),
        to=iso(each.period.end_us),
        currency=each.budget.currency,
        limit=money(position.limit_quanta) or "",
        raised=money(position.raise_quanta) or "",
        spent=money(position.actual_quanta),
        committed=money(position.committed_quanta),
        forecast=money(position.forecast_quanta),
        percent=None if millis is None else f"{Decimal(millis).scaleb(-3):.1f}",
        stage=each.reached[-1].key if each.reached else "",
        action=each.action,
        exhausted_at=instant(each.exhausted_us),
        unpriced_gpu_hours=hours(each.spend.unpriced_part_us),
        unobserved_gpu_hours=hours(each.spend.unobserved_part_us),
        note=each.note,
        new_stages=[stage.key for stage in each.new],
    )


def _entry(number: int, budget: Budget) -> BudgetBookRow:
    return BudgetBookRow(
        entry=number,
        owner=budget.owner,
        period=budget.period,
        currency=budget.currency,
        amount=money(budget.limit_quanta),
        stages=[f"{each.key}{', tells ' + ', '.join(each.tell) if each.tell else ''}" for each in budget.stages],
        from_=instant(budget.from_us),
        to=instant(budget.to_us),
    )

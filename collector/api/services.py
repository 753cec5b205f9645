"""What the handlers work with: the ledger, the group commit, the rating before answers, and the metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from collector.access.gate import Gate
from collector.api.budget_metrics import budget_figures, notice_figures
from collector.api.metrics import (
    CollectorMetrics,
    DriftFigures,
    LedgerFigures,
    ShareFigures,
    TeamFigures,
)
from collector.api.quota_metrics import quota_figures
from collector.audit.watching import LogWatch
from collector.commit import GroupCommit
from collector.enforcement.service import Admission
from collector.governance.budget_positions import Placed
from collector.governance.budgets import BudgetWatch
from collector.governance.quota_positions import PlacedQuota
from collector.governance.quota_stages import QuotaWatch
from collector.ledger.store import Ledger
from collector.queries.chargeback import ChargebackRow, chargeback
from collector.queries.drift import drift
from collector.queries.quotas import quotas
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import Clock

FIGURES_FOR_US: Final = 15_000_000  # how long the figures of /metrics stand
_SECONDS_PER_HOUR: Final = 3_600


class Rater:
    """Rates what waits, once for every change of the ledger, however many ask."""

    def __init__(self, ledger: Ledger, rate: Callable[[Ledger], object] = rate_dirty) -> None:
        self._ledger = ledger
        self._rate = rate
        self._books = 0
        self._rated: tuple[int, int] | None = None
        self._one = threading.Lock()

    def rate(self) -> None:
        """Return once everything that was committed before the call is rated. Slow: not for the event loop."""
        with self._one:
            now = (self._ledger.commits, self._books)  # read first: what comes while it rates waits for the next call
            if now != self._rated:
                self._rate(self._ledger)
                self._rated = now

    def books_changed(self) -> None:
        """Remember that prices or owners were imported."""
        self._books += 1


class Figures:
    """The figures of the whole ledger, made again when they are older than `FIGURES_FOR_US`."""

    def __init__(self, ledger: Ledger, rater: Rater, clock: Clock, budgets: BudgetWatch, quotas: QuotaWatch) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._quotas = quotas
        self._rater = rater
        self._clock = clock
        self._made_us = 0
        self._figures = LedgerFigures()
        self._one = threading.Lock()

    def current(self) -> LedgerFigures:
        """Return the figures. Slow where they are made again: not for the event loop."""
        with self._one:
            if not 0 <= self._clock.now_us() - self._made_us < FIGURES_FOR_US:
                self._rater.rate()
                self._figures = ledger_figures(self._ledger, self._budgets.placed, self._quotas.stand.placed)
                self._made_us = self._clock.now_us()
            return self._figures


class Services(NamedTuple):
    """Everything a handler may need."""

    ledger: Ledger
    commit: GroupCommit
    rater: Rater
    figures: Figures
    metrics: CollectorMetrics
    clock: Clock
    gate: Gate
    admission: Admission
    log: LogWatch


def ledger_figures(
    ledger: Ledger, placed: Iterable[Placed] = (), of_quotas: Iterable[PlacedQuota] = ()
) -> LedgerFigures:
    """Return what all held and cost since the ledger began, and where budgets and quotas stood when last looked at."""
    reach = ledger.execute("select_reach").to_pylist()
    watermarks_us = {row["cluster"]: row["until_us"] for row in reach}
    if not reach:
        return LedgerFigures()
    first_us = min(row["from_us"] for row in reach) // US_PER_HOUR * US_PER_HOUR
    last_us = -(-max(watermarks_us.values()) // US_PER_HOUR) * US_PER_HOUR
    if last_us <= first_us:
        return LedgerFigures(watermarks_us=watermarks_us)
    kept = drift(ledger)
    whole = chargeback(ledger, Period(first_us, last_us, "whole ledger"))
    return LedgerFigures(
        currency=whole.currency or "",
        teams=tuple(_team(row) for row in whole.rows),
        unpriced_gpu_seconds=whole.unpriced_gpu_hours * _SECONDS_PER_HOUR,
        unobserved_gpu_seconds=whole.unobserved_gpu_hours * _SECONDS_PER_HOUR,
        watermarks_us=watermarks_us,
        shares=_shares(ledger, max(watermarks_us.values()) // US_PER_HOUR * US_PER_HOUR),
        budgets=budget_figures(placed),
        quotas=quota_figures(of_quotas),
        notices=notice_figures(ledger, ledger.now_us()),
        drift=tuple(DriftFigures(row.scope, row.metric, row.score) for row in kept.rows),
        drift_found_us={run.by: parse_instant(run.found) for run in kept.runs},
    )


def _shares(ledger: Ledger, until_us: int) -> tuple[ShareFigures, ...]:
    """Return how teams stand to their shares in the hour before `until_us`."""
    hour = quotas(ledger, Period(until_us - US_PER_HOUR, until_us, "newest whole hour"))
    return tuple(
        ShareFigures(
            row.team, row.cluster, row.pool, row.model, row.share_gpus, row.used_gpu_hours, row.borrowed_gpu_hours
        )
        for row in hour.rows
        if row.share_gpus is not None
    )


def _team(row: ChargebackRow) -> TeamFigures:
    seconds = {state: hours * _SECONDS_PER_HOUR for state, hours in row.states.items()}
    return TeamFigures(row.key, None if row.cost is None else float(row.cost), seconds)

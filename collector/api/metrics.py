"""What the collector says of itself to Prometheus: batches taken and refused, and the figures of the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.api.budget_metrics import BudgetFigures, NoticeFigures, budget_families, notice_families
from collector.api.quota_metrics import QuotaFigures, quota_families
from collector.audit.watching import LogState
from collector.enforcement.asks import KUBERNETES, SLURM
from collector.ledger.intake import BatchResult

COMMIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ADMISSION_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
GROUP_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)


class TeamFigures(NamedTuple):
    """One team (or what stands in its place) over the whole ledger; `cost` is None where nothing of it is priced."""

    team: str
    cost: float | None
    gpu_seconds: dict[str, float]  # by state


class ShareFigures(NamedTuple):
    """One team's share of some devices in the newest whole hour, what it held and borrowed: GPUs, the hour's mean."""

    team: str
    cluster: str
    pool: str
    model: str
    share: float
    used: float
    borrowed: float


class DriftFigures(NamedTuple):
    """One figure that drifted, in the newest comparison that was kept."""

    scope: str
    metric: str
    score: float


class LedgerFigures(NamedTuple):
    """What the ledger holds, as metrics show it."""

    currency: str = ""
    teams: tuple[TeamFigures, ...] = ()
    unpriced_gpu_seconds: float = 0.0
    unobserved_gpu_seconds: float = 0.0
    watermarks_us: dict[str, int] = {}  # by cluster  # noqa: RUF012 - never changed
    shares: tuple[ShareFigures, ...] = ()
    drift: tuple[DriftFigures, ...] = ()
    drift_found_us: dict[str, int] = {}  # by dimension  # noqa: RUF012 - never changed
    budgets: tuple[BudgetFigures, ...] = ()
    notices: NoticeFigures = NoticeFigures()
    quotas: tuple[QuotaFigures, ...] = ()


class AdmissionState(NamedTuple):
    """How answers to schedulers stand at a moment; an empty mode: nobody is answered. `age_s` None: no figures yet."""

    mode: str = ""
    age_s: float | None = None
    stale_s: float = 0.0
    waiting: int = 0
    lost: int = 0
    refuses: bool = False  # what nobody can decide


class CollectorMetrics:
    """The collector's own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.batches = Counter(
            "gpuledger_batches", "Batches by what became of them", ["result"], registry=self.registry
        )
        self.quarantined = Counter(
            "gpuledger_quarantined_batches", "Batches refused, by reason", ["code"], registry=self.registry
        )
        self.rows = Counter("gpuledger_ingested_rows", "Usage rows committed", registry=self.registry)
        self.queued = Gauge("gpuledger_queued_batches", "Batches that wait for their commit", registry=self.registry)
        self.commit_seconds = Histogram(
            "gpuledger_commit_duration_seconds",
            "Time of a commit",
            buckets=COMMIT_BUCKETS_S,
            registry=self.registry,
        )
        self.group_batches = Histogram(
            "gpuledger_commit_batches",
            "Batches in a commit",
            buckets=GROUP_BUCKETS,
            registry=self.registry,
        )
        self.admissions = Counter(
            "gpuledger_admission_answers",
            "Answers to schedulers by what was decided",
            ["source", "result"],
            registry=self.registry,
        )
        self.admission_seconds = Histogram(
            "gpuledger_admission_duration_seconds",
            "Time in which a scheduler was answered",
            buckets=ADMISSION_BUCKETS_S,
            registry=self.registry,
        )
        self.admission_malformed = Counter(
            "gpuledger_admission_malformed_requests", "Requests of schedulers without an answer", registry=self.registry
        )
        for result in ("taken", "duplicate", "refused", "overload", "failed"):
            self.batches.labels(result)
        for source in (KUBERNETES, SLURM):
            self.admissions.labels(source, "unsure")  # from the start: the first one is an increase, too

    def answered(self, result: BatchResult) -> None:
        """Count what became of a batch."""
        if result.code:
            self.refused(result.code)
        elif result.duplicate:
            self.batches.labels("duplicate").inc()
        else:
            self.batches.labels("taken").inc()
            self.rows.inc(result.rows)

    def admission_answered(self, source: str, result: str, duration_s: float) -> None:
        """Count what a scheduler was told."""
        self.admissions.labels(source, result).inc()
        self.admission_seconds.observe(duration_s)

    def refused(self, code: str) -> None:
        """Count a batch that broke a promise."""
        self.batches.labels("refused").inc()
        self.quarantined.labels(code).inc()

    def committed(self, batches: int, duration_s: float) -> None:
        """Observe one group."""
        self.group_batches.observe(batches)
        self.commit_seconds.observe(duration_s)


class AdmissionCollector(Collector):
    """How fresh the figures are that schedulers are answered from, and what waits for the ledger."""

    def __init__(self, state: AdmissionState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Yield the families; nothing where nobody is answered."""
        state = self._state
        if not state.mode:
            return
        mode = GaugeMetricFamily("gpuledger_admission_mode", "1 for the mode of answers", labels=["mode"])
        mode.add_metric([state.mode], 1)
        yield mode
        yield GaugeMetricFamily(
            "gpuledger_admission_refuses_undecided",
            "1 where what cannot be decided is refused, 0 where it starts",
            value=float(state.refuses),
        )
        if state.age_s is not None:
            yield GaugeMetricFamily(
                "gpuledger_admission_figures_age_seconds", "Age of the figures of answers", value=state.age_s
            )
        yield GaugeMetricFamily(
            "gpuledger_admission_figures_limit_seconds",
            "Age past which nothing is decided by them",
            value=state.stale_s,
        )
        yield GaugeMetricFamily(
            "gpuledger_admission_waiting_records", "Answers that are not in the ledger yet", value=state.waiting
        )
        yield CounterMetricFamily(
            "gpuledger_admission_lost_records", "Answers for which the queue had no room", value=state.lost
        )


class LogCollector(Collector):
    """Whether the audit log held when the collector last verified it."""

    def __init__(self, state: LogState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Yield the families; nothing before the first time."""
        at_us, holds, events = self._state
        if at_us is None:
            return
        yield GaugeMetricFamily(
            "gpuledger_audit_log_verified", "1 where the whole audit log held when last verified", value=float(holds)
        )
        yield GaugeMetricFamily("gpuledger_audit_log_events", "Events of it that held then", value=events)
        yield GaugeMetricFamily("gpuledger_audit_log_verified_timestamp_seconds", "When that was", value=at_us / 1e6)


class FiguresCollector(Collector):
    """Turns the figures of one moment into metric families."""

    def __init__(self, figures: LedgerFigures, now_us: int) -> None:
        self._figures = figures
        self._now_us = now_us

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        figures = self._figures
        lag = GaugeMetricFamily(
            "gpuledger_ingest_lag_seconds",
            "Age of the newest usage of a cluster",
            labels=["cluster"],
        )
        for cluster, watermark_us in sorted(figures.watermarks_us.items()):
            lag.add_metric([cluster], (self._now_us - watermark_us) / 1e6)
        yield lag
        cost = CounterMetricFamily(
            "gpuledger_team_cost", "Cost of a team over the whole ledger", labels=["team", "currency"]
        )
        seconds = CounterMetricFamily(
            "gpuledger_team_gpu_seconds", "GPU-seconds of a team over the whole ledger", labels=["team", "state"]
        )
        for team in figures.teams:
            if team.cost is not None:
                cost.add_metric([team.team, figures.currency], team.cost)
            for state, value in sorted(team.gpu_seconds.items()):
                seconds.add_metric([team.team, state], value)
        yield cost
        yield seconds
        yield CounterMetricFamily(
            "gpuledger_unpriced_gpu_seconds", "GPU-seconds without a price", value=figures.unpriced_gpu_seconds
        )
        yield CounterMetricFamily(
            "gpuledger_unobserved_gpu_seconds", "GPU-seconds without telemetry", value=figures.unobserved_gpu_seconds
        )
        yield from _share_families(figures.shares)
        yield from budget_families(figures.budgets, self._now_us)
        yield from quota_families(figures.quotas)
        yield from notice_families(figures.notices, self._now_us)
        yield from _drift_families(figures)


def _share_families(shares: Iterable[ShareFigures]) -> Iterable[Metric]:
    """Yield what teams have of their shares: nothing where nobody has one."""
    labels = ["team", "cluster", "pool", "model"]
    families = {
        "share": GaugeMetricFamily("gpuledger_share_gpus", "GPUs that are a team's share", labels=labels),
        "used": GaugeMetricFamily(
            "gpuledger_share_used_gpus", "GPUs that a team with a share held in the newest whole hour", labels=labels
        ),
        "borrowed": GaugeMetricFamily(
            "gpuledger_share_borrowed_gpus", "GPUs of those that were on loan to the team", labels=labels
        ),
    }
    for each in shares:
        for name, family in families.items():
            family.add_metric([each.team, each.cluster, each.pool, each.model], getattr(each, name))
    yield from families.values()


def _drift_families(figures: LedgerFigures) -> Iterable[Metric]:
    """Yield what drifted, and when that was found: nothing where no comparison was kept lately."""
    score = GaugeMetricFamily(
        "gpuledger_drift_score",
        "How far a figure moved in the newest comparison that was kept, by its scatter; what did not drift has none",
        labels=["scope", "metric"],
    )
    for each in figures.drift:
        score.add_metric([each.scope, each.metric], each.score)
    found = GaugeMetricFamily(
        "gpuledger_drift_found_timestamp_seconds", "When the newest comparison that was kept was made", labels=["by"]
    )
    for by, found_us in sorted(figures.drift_found_us.items()):
        found.add_metric([by], found_us / 1e6)
    yield score
    yield found

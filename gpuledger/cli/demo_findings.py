"""What the finders tell of a demo's ledger, each as it stands in the product: waste, faults, time not seen, drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl

from agent.devices.simulated.plants import AGENT_DOWN, DRIFT, FAULT, WASTE
from analytics.bill_lines import read_charges
from analytics.drift import Verdict
from analytics.drift_document import compare
from analytics.drift_spans import choose_spans
from analytics.line_groups import workload
from analytics.waste import STRANDED, waste
from analytics.windows import Span, narrow
from dashboards.fleet_models import faults
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.cli import drift_answer
from gpuledger.cli.sources import Document, Source
from gpuledger.model import State

DIMENSIONS: Final = ("team", "workload", "node", "model", "device")
RUN: Final = "run"  # a workload by the name of one of its runs, as the waste report has it
LEAST_DAYS: Final = 14  # of history, to compare the last week with what was before
MOST_EVENTS: Final = "10000"
_UNSEEN: Final = [int(State.UNAVAILABLE), int(State.UNOBSERVED)]
_ALWAYS: Final = Interval(0, 1 << 62)


class Finding(NamedTuple):
    """One thing that was told: its cause, of what (`key` by `dimension`), and when, where that is told."""

    kind: str
    cause: str
    dimension: str
    key: str
    interval: Interval = _ALWAYS
    metric: str = ""

    @property
    def words(self) -> str:
        """Return the finding for people."""
        what = f"{self.metric} of {self.dimension}" if self.metric else self.dimension
        return f"{self.cause}: {what} {self.key}"


class Found(NamedTuple):
    """All findings, the lines they come from, and which windows were compared for drift (None: too short a history)."""

    findings: tuple[Finding, ...]
    lines: pl.DataFrame
    spans: tuple[Span, Span] | None


def find_all(source: Source, interval: Interval) -> Found:
    """Return what is told of `interval` (whole hours), by every finder."""
    label = f"{iso(interval.start_us)}..{iso(interval.end_us)}"
    lines = pl.concat(list(read_charges(source, Period(*interval, label))), how="vertical_relaxed")
    events = source.query("events", {"period": label, "limit": MOST_EVENTS})
    findings = [*find_waste(lines), *find_faults(events, lines)]
    spans = None
    if interval.length_us >= LEAST_DAYS * US_PER_DAY:
        spans = choose_spans(source.query("status", {}))
        findings += find_drift(source, spans)
    return Found(tuple(findings), lines, spans)


def find_waste(lines: pl.DataFrame) -> Iterator[Finding]:
    """Yield the waste that is worth acting on: what would have been saved for certain, even after its grace."""
    for row in waste(lines).filter(pl.col("low_quanta") > 0).iter_rows(named=True):
        by, key = ("node", row["node"]) if row["kind"] == STRANDED else (RUN, row["workload"])
        yield Finding(WASTE, row["reason"], by, key)


def find_faults(events: Document, lines: pl.DataFrame) -> Iterator[Finding]:
    """Yield errors and warnings, and each stretch of a device's time that was out of service or not seen."""
    for row in faults(events):
        at_us = parse_instant(row["at"])
        cause = f"xid {row['details']['xid']}" if row["kind"] == "xid" else row["kind"]
        yield Finding(FAULT, cause, "device", row["device"], Interval(at_us, at_us + 1))
    for row in _stretches(lines).iter_rows(named=True):
        cause = AGENT_DOWN if row["state"] == int(State.UNOBSERVED) else row["reason"]
        interval = Interval(row["hour_us"], row["hour_us"] + row["length_us"])
        yield Finding(FAULT, cause, "device", row["device"], interval)


def find_drift(source: Source, spans: tuple[Span, Span]) -> Iterator[Finding]:
    """Yield what changed by each of DIMENSIONS, and once what devices and workloads it came from."""
    reference, current = (drift_answer.read_lines(source, span) for span in spans)
    conditions = (drift_answer.read_conditions(source, spans[0]), drift_answer.read_conditions(source, spans[1]))
    causes: list[Document] = []
    for by in DIMENSIONS:
        memory = (drift_answer.read_memory(source, spans[0], by), drift_answer.read_memory(source, spans[1], by))
        answer, _ = compare((reference, current), spans, by, memory=memory, conditions=conditions)
        causes = answer["causes"]
        for row in answer["rows"]:
            if row["verdict"] == Verdict.DRIFT:
                yield Finding(DRIFT, DRIFT, by, row["group"], metric=row["metric"])
            elif row["verdict"] in (Verdict.APPEARED, Verdict.VANISHED) and row["metric"] == "gpu_hours":
                yield Finding(DRIFT, row["verdict"], by, row["group"], metric=row["metric"])
    for row in causes:
        if row["cause"] in drift_answer.MOVED:
            yield Finding(DRIFT, row["cause"], row["kind"], row["of"], metric=row["metric"])


def names_of(lines: pl.DataFrame) -> pl.DataFrame:
    """Return under which keys each holder and device of the lines is told, by DIMENSIONS and RUN."""
    named = narrow(lines).select(*(pl.col(name).cast(pl.String) for name in (*DIMENSIONS, "holder")))
    return named.hstack(lines.select(workload().alias(RUN))).unique()


def _stretches(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the unbroken stretches of hours in which a device was out of service or not seen, by reason."""
    keys = ["device", "state", "reason"]
    hours = lines.filter(pl.col("state").is_in(_UNSEEN)).select(*keys, "hour_us").unique().sort(*keys, "hour_us")
    breaks = (pl.col("hour_us").diff().over(keys) != US_PER_HOUR).fill_null(value=False).cum_sum().over(keys)
    return (
        hours.with_columns(breaks.alias("stretch"))
        .group_by(*keys, "stretch", maintain_order=True)
        .agg(
            pl.col("hour_us").min(),
            (pl.col("hour_us").max() - pl.col("hour_us").min() + US_PER_HOUR).alias("length_us"),
        )
    )

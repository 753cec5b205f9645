"""Drift between two periods of a ledger: its lines are read, narrowed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from analytics.bill_lines import read_charges
from analytics.drift import Drift, Verdict, find_drift, write_report
from analytics.drift_frames import Observations
from analytics.drift_hardware import Cause, Causes, find_causes
from analytics.windows import LOOKBACK_DAYS, Span, narrow, observe, observe_memory, same_work, whole_days
from gpuledger.accounting.periods import Period, iso, parse_instant, parse_period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.cli.sources import Document, Source
from gpuledger.errors import AnalysisError

CURRENT_DAYS: Final = 7
REFERENCE_DAYS: Final = 28
MOST_KEPT: Final = 250
MOVED: Final = (Cause.HARDWARE, Cause.LOAD, Cause.WORKLOAD, Cause.UNDETERMINED)


def find(
    source: Source, period: str | None, against: str | None, *, by: str, level: float, report: Path | None = None
) -> Document:
    """Return what changed from `against` to `period` (None: the last days, and those before them), by `by`.

    Half of `level` goes to the figures by group, half to what tells devices from their work.
    """
    spans = choose_spans(source, period, against)
    reference, current = (read_lines(source, span) for span in spans)
    observations = observe(reference, current, spans, by)
    if by != "workload":
        before, now = (read_memory(source, span, by) for span in spans)
        observations.append(observe_memory(before, now, by))
    drift = find_drift(observations, by, level=level / 2)
    work = same_work(reference, current, spans)
    causes = find_causes(work, level=level / 2)
    if report is not None:
        write_report(pooled(observations), report)
    return answer(drift, causes, spans, level)


def choose_spans(source: Source, period: str | None, against: str | None) -> tuple[Span, Span]:
    """Return the reference and the current window as whole days that are known.

    Raises AnalysisError where a window has none, or where the reference does not end before the current one begins.
    """
    status = source.query("status", {})
    if status["watermark"] is None:
        raise AnalysisError("the ledger holds no usage", hint="start an agent, or import jobs")
    known_us = parse_instant(status["watermark"])
    until_us = known_us // US_PER_DAY * US_PER_DAY
    current = whole_days(
        parse_period(period) if period else _days(until_us - CURRENT_DAYS * US_PER_DAY, until_us), known_us
    )
    first_us = parse_instant(status["first_usage"])
    earlier = _days(max(first_us, current.start_us - REFERENCE_DAYS * US_PER_DAY), current.start_us)
    reference = whole_days(parse_period(against) if against else earlier, known_us)
    if reference.end_us > current.start_us:
        raise AnalysisError(
            f"the reference ends at {iso(reference.end_us)}, the current window begins at {iso(current.start_us)}",
            hint="name an earlier period with --against",
        )
    return reference, current


def read_lines(source: Source, span: Span) -> pl.DataFrame:
    """Return the narrowed lines of a window and of the days before it in which its jobs may have begun."""
    start_us = max(0, span.start_us - LOOKBACK_DAYS * US_PER_DAY)
    pages = [narrow(page) for page in read_charges(source, _days(start_us, span.end_us))]
    return pl.concat(pages)


def read_memory(source: Source, span: Span, by: str) -> pl.DataFrame:
    """Return the days of devices whose memory was read in a window."""
    label = f"{iso(span.start_us)}..{iso(span.end_us)}"
    found = pl.from_arrow(source.table("memory", {"period": label, "by": by}))
    assert isinstance(found, pl.DataFrame)
    return found


def pooled(observations: list[Observations]) -> Observations:
    """Return the observations that a report is about: days of devices, which are the most."""
    return observations[0]


def answer(drift: Drift, causes: Causes, spans: tuple[Span, Span], level: float) -> Document:
    """Return the document that is printed: every row, drift first, and what devices and workloads moved."""
    reference, current = ({"from": iso(span.start_us), "to": iso(span.end_us)} for span in spans)
    moved = pl.concat(
        [
            causes.devices.with_columns(pl.lit("device").alias("kind")),
            causes.workloads.with_columns(pl.lit("workload").alias("kind")),
        ]
    )
    return {
        "by": drift.by,
        "level": level,
        "reference": {**reference, "days": drift.reference_days},
        "current": {**current, "days": drift.current_days},
        "days_left_out": drift.days_left_out,
        "tested": drift.tested,
        "rows": drift.frame.to_dicts(),
        "causes": moved.to_dicts(),
    }


def keep(source: Source, found: Document) -> None:
    """Store in the ledger what drifted: the furthest MOST_KEPT results, and how many were not kept."""
    moved = [
        _kept(f"{found['by']}:{row['group']}", row["metric"], row["verdict"], row["normed"], row)
        for row in found["rows"]
        if row["verdict"] == Verdict.DRIFT and row["normed"]
    ]
    moved += [
        _kept(f"{row['kind']}:{row['of']}", row["metric"], row["cause"], abs(row["shift_ratio"]), row)
        for row in found["causes"]
        if row["cause"] in MOVED and row["shift_ratio"]
    ]
    moved.sort(key=lambda row: -row["score"])
    windows = {name: [found[name]["from"], found[name]["to"]] for name in ("reference", "current")}
    source.change(
        "/v1/drift",
        {
            "by": found["by"],
            "level": found["level"],
            **windows,
            "tested": found["tested"],
            "results": moved[:MOST_KEPT],
            "left_out": max(0, len(moved) - MOST_KEPT),
        },
    )


def _kept(scope: str, metric: str, verdict: str, score: float, row: Document) -> Document:
    means = {name: row.get(name) for name in ("reference_mean", "current_mean")}
    return {"scope": scope, "metric": metric, "verdict": str(verdict), "score": score, "q": row["q"], **means}


def _days(start_us: int, end_us: int) -> Period:
    if end_us <= start_us:
        raise AnalysisError("the ledger holds no whole days before the current window", hint="name one with --against")
    return Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}")

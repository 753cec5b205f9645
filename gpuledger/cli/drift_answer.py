"""Drift between two periods of a ledger: its lines are read, narrowed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from analytics.bill_lines import read_charges
from analytics.drift import Verdict, write_report
from analytics.drift_document import compare
from analytics.drift_hardware import Cause
from analytics.drift_spans import choose_spans, read_period
from analytics.windows import Span, narrow
from gpuledger.accounting.periods import iso
from gpuledger.cli.sources import Document, Source

MOST_KEPT: Final = 250
MOVED: Final = (Cause.HARDWARE, Cause.LOAD, Cause.WORKLOAD, Cause.UNDETERMINED)


def find(
    source: Source, period: str | None, against: str | None, *, by: str, level: float, report: Path | None = None
) -> Document:
    """Return what changed from `against` to `period` (None: the last days, and those before them), by `by`."""
    spans = choose_spans(source.query("status", {}), period, against)
    reference, current = (read_lines(source, span) for span in spans)
    memory = (read_memory(source, spans[0], by), read_memory(source, spans[1], by))
    conditions = (read_conditions(source, spans[0]), read_conditions(source, spans[1]))
    answer, observations = compare((reference, current), spans, by, level, memory=memory, conditions=conditions)
    if report is not None:
        write_report(observations, report)
    return answer


def read_lines(source: Source, span: Span) -> pl.DataFrame:
    """Return the narrowed lines of a window and of the days before it in which its jobs may have begun."""
    return pl.concat([narrow(page) for page in read_charges(source, read_period(span))])


def read_memory(source: Source, span: Span, by: str) -> pl.DataFrame:
    """Return the days of devices whose memory was read in a window."""
    return _table(source, "memory", {"period": _label(span), "by": by})


def read_conditions(source: Source, span: Span) -> pl.DataFrame:
    """Return the clocks and temperatures of boards that worked in a window; none where their agents tell none."""
    return _table(source, "conditions", {"period": _label(span)})


def _label(span: Span) -> str:
    return f"{iso(span.start_us)}..{iso(span.end_us)}"


def _table(source: Source, name: str, params: dict[str, str]) -> pl.DataFrame:
    found = pl.from_arrow(source.table(name, params))
    assert isinstance(found, pl.DataFrame)
    return found


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

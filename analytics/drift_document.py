"""Drift between two windows of bill lines as one document: what is compared, what changed, and from what."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from analytics.drift import Drift, find_drift
from analytics.drift_frames import Observations
from analytics.drift_hardware import Causes, find_causes
from analytics.windows import Span, observe, observe_conditions, observe_memory, same_work
from gpuledger.accounting.periods import iso

Document = dict[str, Any]
LEVEL: Final = 0.05


def compare(
    lines: tuple[pl.DataFrame, pl.DataFrame],
    spans: tuple[Span, Span],
    by: str,
    level: float = LEVEL,
    *,
    memory: tuple[pl.DataFrame, pl.DataFrame] | None = None,
    conditions: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> tuple[Document, Observations]:
    """Return what changed from the reference to the current lines, by `by`, and the observations of devices' days.

    Lines are narrowed ones of `drift_spans.read_period`; `memory` and `conditions` are what `/v1/memory` and
    `/v1/conditions` say of both windows, where that is compared too. Half of `level` goes to the figures by group, half
    to what tells devices from work.
    """
    observations = observe(*lines, spans, by)
    if memory is not None:
        observations.append(observe_memory(*memory, by))
    if conditions is not None and all(read.is_empty() for read in conditions):
        conditions = None  # of agents that do not tell them
    if conditions is not None:
        observations.append(observe_conditions(lines, conditions, spans, by))
    drift = find_drift(observations, by, level=level / 2)
    causes = find_causes(same_work(*lines, spans, conditions), level=level / 2)
    return _document(drift, causes, spans, level), observations[0]


def _document(drift: Drift, causes: Causes, spans: tuple[Span, Span], level: float) -> Document:
    """Return every row, drift first, and what devices and workloads moved."""
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

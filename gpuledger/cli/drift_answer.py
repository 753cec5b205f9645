"""Drift between two periods of a ledger: its lines are read, narrowed and compared."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from analytics.drift import write_report
from analytics.drift_document import compare
from analytics.drift_spans import choose_spans, read_period
from analytics.windows import Span, narrow
from gpuledger.cli.export_lines import read_charges
from gpuledger.cli.sources import Document, Source


def find(
    source: Source, period: str | None, against: str | None, *, by: str, level: float, report: Path | None = None
) -> Document:
    """Return what changed from `against` to `period` (None: the last days, and those before them), by `by`."""
    spans = choose_spans(source.query("status", {}), period, against)
    reference, current = (_lines(source, span) for span in spans)
    answer, devices = compare((reference, current), spans, by, level)
    if report is not None:
        write_report(devices, report)
    return answer


def _lines(source: Source, span: Span) -> pl.DataFrame:
    return pl.concat([narrow(page) for page in read_charges(source, read_period(span))])

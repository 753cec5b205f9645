"""Reads what reports are made from: every answer about a period, and its lines once, through files of their own.

Lines go page by page into Parquet and are scanned from there, so that a report takes the memory of the columns that it
adds up, not that of a month of lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from analytics import batch_work, compare, energy, forecast_document, shifting, waste
from analytics.reports.material import Material
from analytics.series_source import read_known
from gpuledger.accounting.periods import Period, parse_instant, period_before
from gpuledger.cli import compare_answer, energy_answer, waste_answer
from gpuledger.cli.known import known_lines
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

COLUMNS: Final = tuple(
    dict.fromkeys((*waste.READ, *compare.READ, *energy.READ, *shifting.READ, *batch_work.COLUMNS, "user_name", "team"))
)
TYPES: Final = {"carbon_g_per_kwh": pl.Decimal(18, 6)}  # what a page has no value of has no type of its own
MOST_ATTEMPTS: Final = 3


@contextmanager
def gathered(source: Source, label: str) -> Iterator[Material]:
    """Give what `gather` returns; its lines are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="gpuledger-report-") as folder:
        yield gather(source, label, Path(folder))


def gather(source: Source, label: str, folder: Path) -> Material:
    """Return what reports of a period (empty: this month) are made from, all of it as the ledger stood at one time.

    Lines are kept in `folder`. Raises AnalysisError where the ledger changes each time while it is read.
    """
    for attempt in range(MOST_ATTEMPTS):
        kept = folder / f"lines-{attempt}"
        kept.mkdir()
        found = _read(source, label, kept)
        if found.compared["total"]["cost"] == (found.chargeback["total"]["cost"] or "0.00"):
            return found
    raise AnalysisError(
        f"the charges of {found.label} changed while they were read, {MOST_ATTEMPTS} times",
        hint="try again in a minute, or report on a period that has ended",
    )


def _read(source: Source, label: str, folder: Path) -> Material:
    now = source.query("chargeback", {"period": label, "by": "team"})
    period = now["period"]["label"]
    asked = wanted_period(source, period)
    before = source.query("chargeback", {"period": period_before(asked, find_zone(asked.zone)).label, "by": "team"})
    lines = _kept(known_lines(source, now), folder)
    if lines is None:
        lines = _no_lines(source, before)
    found = compare.compare(compare_answer.spent(source, before, "team"), compare.spending([lines], "team"))
    periods = [row for row in source.query("periods", {})["rows"] if _inside(row, now["period"])]
    labels = {row["label"] for row in periods if row["closed_at"]}
    return Material(
        chargeback=now,
        compared=compare_answer.answer(before, now, found, source.query("status", {})["first_usage"]),
        timeline=source.query("timeline", {"period": period, "grain": "day"}),
        energy=energy_answer.answer(now, [lines], days=1),
        waste={
            **waste_answer.answer(now, lines, waste.GRACE_HOURS, source.query("holdings", {"period": period})),
            "advice": source.query("advice", {}),
        },
        quotas=source.query("quotas", {"period": period}),
        periods=periods,
        invoices=[row for row in source.query("invoices", {})["rows"] if row["period"] in labels],
        lines=lines,
        outlook=_outlook(source, asked) if now["as_of"] else None,
    )


def _outlook(source: Source, period: Period) -> Document | None:
    """Return where teams land in a period that has begun; None of one that is known to its end, or is still to come."""
    known = read_known(source)
    if not period.start_us < known.until_us < period.end_us:
        return None
    try:
        looked = forecast_document.look(source, known, period, forecast_document.Asked("team", "cost"))
    except AnalysisError as why_not:
        return {"why_not": why_not.message}
    return {"landings": forecast_document.landings(looked), "coming": forecast_document.coming(looked)}


def _kept(pages: Iterable[pl.DataFrame], folder: Path) -> pl.LazyFrame | None:
    """Write pages into a folder and return them as one frame; None where there are none."""
    count = 0
    for count, page in enumerate(pages, start=1):
        page.select(pl.col(name).cast(TYPES.get(name, page.schema[name])) for name in COLUMNS).write_parquet(
            folder / f"{count:06d}.parquet", compression="lz4"
        )
    return pl.scan_parquet(folder / "*.parquet") if count else None


def _no_lines(source: Source, before: Document) -> pl.LazyFrame:
    """Return no lines, which have columns: those of a period that is not known yet."""
    start = before["period"]["to"]
    empty = source.table("bill", {"period": f"{start}..9998-01-01T00:00:00Z", "kind": "charge"})
    found = pl.from_arrow(empty)
    assert isinstance(found, pl.DataFrame)
    return found.select(COLUMNS).clear().lazy()


def _inside(row: Document, span: Document) -> bool:
    starts, ends = (parse_instant(span[name]) for name in ("from", "to"))
    return starts <= parse_instant(row["from"]) and parse_instant(row["to"]) <= ends

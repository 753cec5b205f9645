"""The answer of `compare`: two periods read page by page and compared, with money as exact text."""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.compare import compare, spending
from gpuledger.accounting.periods import parse_instant, period_before
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.known import hours, known_lines, known_period, money
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

PARTS: Final = ("price", "volume", "mix", "no_price")
_COSTS: Final = {
    "cost_before": "cost_quanta_before",
    "cost": "cost_quanta",
    **{name: f"{name}_quanta" for name in PARTS},
}
_HOURS: Final = ("gpu_hours", "unpriced_gpu_hours", "unwatched_gpu_hours")


def find(source: Source, label: str, against: str, by: str) -> Document:
    """Return what changed from `against` (empty: the period before) to the period `label` (empty: this month)."""
    now = source.query("chargeback", {"period": label, "by": by})
    earlier = against or _before(source, now["period"]["label"])
    before = source.query("chargeback", {"period": earlier, "by": by})
    found = compare(spent(source, before, by), spent(source, now, by))
    return answer(before, now, found, source.query("status", {})["first_usage"])


def spent(source: Source, asked: Document, by: str) -> pl.DataFrame:
    """Return what each group spent in the period of an answer."""
    return spending(known_lines(source, asked), by)


def answer(before: Document, now: Document, found: pl.DataFrame, first_usage: str | None) -> Document:
    """Return the comparison; `first_usage` is where the ledger begins.

    Raises AnalysisError where the two are not in one currency.
    """
    if before["currency"] != now["currency"]:
        raise AnalysisError(
            f"{before['period']['label']} is in {before['currency']}, {now['period']['label']} in {now['currency']}",
            hint="amounts of two currencies have no difference: compare periods of one ledger",
        )
    rows = [_row(row) for row in found.iter_rows(named=True)]
    sums = {name: sum(each or 0 for each in found[name]) for name in found.columns[3:]}
    return {
        "currency": now["currency"],
        "period": now["period"],
        "with": before["period"],
        "by": now["by"],
        "rows": rows,
        "total": _row({"kind": "total", "key": "total", "standing": "", **sums}),
        "known": _known(now, first_usage),
        "known_before": _known(before, first_usage),
        "final": now["final"],
        "final_before": before["final"],
    }


def _before(source: Source, label: str) -> str:
    period = wanted_period(source, label)
    return period_before(period, find_zone(period.zone)).label


def _known(asked: Document, first_usage: str | None) -> Document:
    """Return how many hours of a period the ledger knows, and how much of them stands apart."""
    names = ("unpriced_gpu_hours", "unobserved_gpu_hours", "pending_hours", "as_of")
    whole = known_period({**asked, "as_of": None})
    known = known_period(asked)
    first_us = parse_instant(first_usage) // US_PER_HOUR * US_PER_HOUR if first_usage else known.end_us
    return {
        "hours": max(0, known.end_us - max(known.start_us, first_us)) // US_PER_HOUR,
        "of_hours": (whole.end_us - whole.start_us) // US_PER_HOUR,
        **{name: asked[name] for name in names},
    }


def _row(row: Document) -> Document:
    shown: Document = {name: row[name] for name in ("key", "kind", "standing")}
    shown |= {name: money(row[column]) for name, column in _COSTS.items()}
    known = row["cost_quanta"] is not None and row["cost_quanta_before"] is not None
    shown["change"] = money(row["cost_quanta"] - row["cost_quanta_before"]) if known else None
    for name in _HOURS:
        for when in ("_before", ""):
            part_us = row[f"{name.replace('gpu_hours', 'part_us')}{when}"]
            shown[f"{name}{when}"] = hours(part_us)
    return shown

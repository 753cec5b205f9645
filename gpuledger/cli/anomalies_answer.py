"""The answer of `anomalies`: series of a ledger, gone through a week at a time, and what was not expected in money."""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.anomaly import Anomaly, find_anomalies
from analytics.forecast_series import METRICS
from analytics.line_groups import choose
from analytics.series_source import read_history, read_known, shown_key
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import iso, parse_period
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.cli.sources import Document, Source
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

WINDOW_DAYS: Final = 28


def find(source: Source, period: str | None, *, by: str, metric: str, grain: str, level: float) -> Document:
    """Return what was not expected in a period (None: the last WINDOW_DAYS that are known), as far as it is known."""
    choose("metric", metric, METRICS)
    known = read_known(source)
    from_us, until_us = known.until_us - WINDOW_DAYS * US_PER_DAY, known.until_us
    if period:
        asked = parse_period(period, find_zone(known.zone))
        from_us, until_us = asked.start_us, min(asked.end_us, known.until_us)
    if until_us <= max(from_us, known.first_us):
        raise AnalysisError(f"nothing is known of {period}", hint="name a period that has begun")
    history = read_history(source, known, by=by, metric=metric, grain=grain, until_us=until_us)
    prices = _prices(history.rows, by) if metric == "gpu_hours" else {} if metric == "arrivals" else None
    found = find_anomalies(history.series, from_us, prices=prices, level=level)
    first_us = min((int(edge) for edge in history.edges[:-1] if edge >= from_us), default=int(history.edges[-1]))
    return {
        "period": {"from": iso(first_us), "to": iso(int(history.edges[-1])), "zone": known.zone},
        "by": by,
        "metric": metric,
        "grain": grain,
        "currency": known.currency,
        "level": level,
        "tested": found.tested,
        "groups": len(history.series),
        "rows": [_row(one, metric) for one in found.found],
        "skipped": [
            {"key": one.name, "reason": one.reason.value, "known_days": round(one.known_days, 1)}
            for one in found.skipped
        ],
    }


def _prices(rows: pl.DataFrame, by: str) -> dict[str, float]:
    """Return what a GPU-hour of each group cost on the whole; nothing for a group of which some has no price."""
    sums = rows.group_by("key").agg(pl.col("cost_quanta", "held_part_us", "unpriced_part_us").cast(pl.Float64).sum())
    priced = sums.filter((pl.col("unpriced_part_us") == 0) & (pl.col("held_part_us") > 0))
    return {
        shown_key(row["key"], by): row["cost_quanta"] / QUANTA_PER_UNIT * GPU_PARTS * US_PER_HOUR / row["held_part_us"]
        for row in priced.iter_rows(named=True)
    }


def _row(one: Anomaly, metric: str) -> Document:
    return {
        "key": one.name,
        "kind": one.kind.value,
        "from": iso(one.start_us),
        "to": iso(one.end_us),
        **{name: _amount(getattr(one, name), metric) for name in ("seen", "expected", "low_95", "high_95", "excess")},
        "money": None if one.money is None else f"{one.money:.2f}",
        "q": None if one.q is None else float(f"{one.q:.3g}"),
        "known_ratio": round(one.known_ratio, 4),
    }


def _amount(value: float | None, metric: str) -> str | float | None:
    if value is None:
        return None
    return f"{value:.2f}" if metric == "cost" else round(value, 3)

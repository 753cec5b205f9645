"""Where each group lands in a period, as a document: so far, expected, its budget, and by GPU model its capacity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from analytics.forecast import Forecast, NoForecast, Outcome, forecast
from analytics.forecast_ends import Exhaustion, exhaust, fill_up, land
from analytics.forecast_series import nominal_us
from analytics.series_source import TOTAL, History, Known, Source, read_history, read_so_far, total_of
from analytics.windows import BY_DEVICE
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY
from gpuledger.errors import AnalysisError

Document = dict[str, Any]
BOUNDS = ("low_80", "high_80", "low_95", "high_95")


class Asked(NamedTuple):
    """What is asked for; `limits` are budgets by the key of a row, or TOTAL."""

    by: str
    metric: str
    grain: str = "day"
    limits: Mapping[str, float] = MappingProxyType({})


class Looked(NamedTuple):
    """The series of a ledger and what each is forecast to be, for one question."""

    asked: Asked
    known: Known
    period: Period
    history: History
    outcomes: dict[str, Outcome]
    so_far: dict[str, float]


def find(source: Source, known: Known, period: Period, asked: Asked, *, steps: bool = False) -> Document:
    """Return the forecast of a period; with `steps`, rows are the coming steps of each group.

    Raises AnalysisError where the period is known to its end, or nothing of it is.
    """
    looked = look(source, known, period, asked)
    return coming(looked) if steps else landings(looked)


def look(source: Source, known: Known, period: Period, asked: Asked) -> Looked:
    """Return what `landings` and `coming` write down. Raises AnalysisError as `find`."""
    if period.end_us <= known.until_us:
        raise AnalysisError(
            f"{period.label} is known to its end", hint='see "gpuledger chargeback", or name a later period'
        )
    by, metric = asked.by, asked.metric
    history = read_history(source, known, by=by, metric=metric, grain=asked.grain, until_us=known.until_us)
    outcomes = {each.name: forecast(each, period.end_us) for each in history.series}
    so_far = read_so_far(source, known, period.start_us, by=by, metric=metric)
    total = total_of(history.series)
    if total is not None:
        outcomes[TOTAL] = forecast(total, period.end_us)
        so_far[TOTAL] = math.fsum(so_far.values())
    return Looked(asked, known, period, history, outcomes, so_far)


def coming(looked: Looked) -> Document:
    """Return the coming steps of each group, with their ranges."""
    return {
        **_head(looked),
        "rows": [row for outcome in looked.outcomes.values() for row in _steps(outcome, looked.asked.metric)],
    }


def landings(looked: Looked) -> Document:
    """Return where each group lands: so far, expected, with its range, its budget and its capacity."""
    by, metric, limits = looked.asked.by, looked.asked.metric, looked.asked.limits
    span = (max(looked.period.start_us, looked.known.until_us), looked.period.end_us)
    capacity = _capacity(looked.history) if by in BY_DEVICE and metric == "gpu_hours" else {}
    rows = [
        _row(each, looked.so_far.get(name, 0.0), span, metric, limits.get(name))
        for name, each in looked.outcomes.items()
    ]
    for row, outcome in zip(rows, looked.outcomes.values(), strict=True):
        if capacity:
            row["capacity"] = _fullness(outcome, capacity.get(outcome.name, 0.0))
    rows.sort(key=lambda row: (row["key"] == TOTAL, -float(row["expected"] or row["so_far"])))
    return {**_head(looked), "rows": rows, "path": _path(looked)}


def _head(looked: Looked) -> Document:
    period, known, edges = looked.period, looked.known, looked.history.edges
    return {
        "period": {"from": iso(period.start_us), "to": iso(period.end_us), "label": period.label, "zone": known.zone},
        "by": looked.asked.by,
        "metric": looked.asked.metric,
        "grain": looked.asked.grain,
        "currency": known.currency,
        "as_of": iso(known.until_us),
        "history": {"from": iso(int(edges[0])), "steps": len(edges) - 1},
    }


def _path(looked: Looked) -> list[Document]:
    """Return the steps of all groups together: what each known one had, then what is expected of the coming ones."""
    total, metric = total_of(looked.history.series), looked.asked.metric
    if total is None:
        return []
    nominal = nominal_us(total.grain)
    known = [
        {"at": iso(int(at_us)), "had": _amount(float(value) * int(until_us - at_us) / nominal, metric)}
        for at_us, until_us, value in zip(total.edges, total.edges[1:], total.values, strict=False)
        if not math.isnan(value)
    ]
    ahead = _steps(looked.outcomes[TOTAL], metric)
    return known + [{name: value for name, value in row.items() if name != "key"} for row in ahead]


def _row(outcome: Outcome, so_far: float, span: tuple[int, int], metric: str, limit: float | None) -> Document:
    landing = land(outcome, so_far, *span)
    return {
        "key": outcome.name,
        "so_far": _amount(so_far, metric),
        **{name: _amount(getattr(landing, name), metric) for name in ("expected", *BOUNDS)},
        **_how(outcome),
        "budget": None if limit is None else _budget(exhaust(outcome, limit, so_far, *span), metric),
    }


def _how(outcome: Outcome) -> Document:
    """Return how it was forecast, or why it was not."""
    if isinstance(outcome, NoForecast):
        facts = dict.fromkeys(("way", "error_ratio", "unknown_steps", "beyond_trials"))
        return {**facts, "reason": outcome.reason.value, "known_days": round(outcome.known_days, 1)}
    return {
        "way": outcome.way,
        "error_ratio": _rounded(outcome.error_ratio),
        "unknown_steps": outcome.unknown_steps,
        "beyond_trials": outcome.beyond_trials,
        "reason": None,
        "known_days": round(outcome.known_steps * outcome.nominal_us / US_PER_DAY, 1),
    }


def _budget(found: Exhaustion, metric: str) -> Document:
    at, early, late = (None if each is None else iso(each) for each in (found.at_us, found.early_us, found.late_us))
    return {
        "limit": _amount(found.limit, metric),
        "verdict": found.verdict.value,
        "at": at,
        "early": early,
        "late": late,
        "chance": _rounded(found.chance),
    }


def _capacity(history: History) -> dict[str, float]:
    """Return how many GPUs each group had in the newest step that was known."""
    newest = history.rows.filter(history.rows["at_us"] == history.rows["at_us"].max())
    length_us = int(history.edges[-1] - history.edges[-2])
    return {row["key"]: row["part_us"] / GPU_PARTS / length_us for row in newest.iter_rows(named=True)}


def _fullness(outcome: Outcome, capacity: float) -> Document | None:
    found = fill_up(outcome, capacity)
    if found is None:
        return None
    return {
        "gpus": round(found.capacity, 3),
        "held": round(found.held, 3),
        "full_at": None if found.full_us is None else iso(found.full_us),
        "chance_at_end": _rounded(found.chance),
    }


def _steps(outcome: Outcome, metric: str) -> list[Document]:
    if not isinstance(outcome, Forecast):
        return []
    lengths = [(end - start) / outcome.nominal_us for start, end in zip(outcome.edges, outcome.edges[1:], strict=False)]
    return [
        {
            "key": outcome.name,
            "at": iso(row["at_us"]),
            **{
                name: None if row[name] is None else _amount(row[name] * length, metric)
                for name in ("expected", *BOUNDS)
            },
        }
        for row, length in zip(outcome.frame.iter_rows(named=True), lengths, strict=True)
    ]


def _amount(value: float | None, metric: str) -> str | float | None:
    """Return money as text, an estimate to the cent; GPU-hours as a number."""
    if value is None:
        return None
    return f"{value:.2f}" if metric == "cost" else round(float(value), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

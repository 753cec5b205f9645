"""What comes next of a series, and how far it may be off, by how forecasts of the same series did in its past.

The way that did best in trials is used (`forecast_trials`), the seasonal naive one where none did better. Where there
is nothing to go by there is no forecast but a reason; where a series never varied there is one without an interval.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from analytics.drift_samples import Floats, Integers
from analytics.forecast_series import Series, next_edge, nominal_us
from analytics.forecast_trials import Trials, run_trials
from analytics.forecast_ways import carry
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

LEAST_DAYS: Final = 21
WHY_NOT: Final = {  # there is no forecast, in words
    "empty": "nothing of it is in the ledger",
    "not_known": "no day of it is known: not observed, or without a price",
    "too_short": f"fewer than {LEAST_DAYS} days are known",
}
MOST_STEPS: Final = 24 * 400
LEVELS: Final = (0.8, 0.95)
CONSTANT: Final = "constant"
GONE: Final = "gone"
COLUMNS: Final = ("expected", "low_80", "high_80", "low_95", "high_95")


class Reason(enum.StrEnum):
    """Why there is no forecast."""

    EMPTY = "empty"  # no step of it is there
    NOT_KNOWN = "not_known"  # no step of it is known: unobserved, or without a price
    TOO_SHORT = "too_short"  # fewer than LEAST_DAYS days are known since it appeared
    SPORADIC = "sporadic"  # it has something on too few days for anything to be expected (anomalies only)


class NoForecast(NamedTuple):
    """A series without a forecast, and why; `known_days` counts the days that are known."""

    name: str
    reason: Reason
    known_days: float


class Forecast(NamedTuple):
    """A series carried forward over the steps between `edges`; values are for a step of nominal length.

    `error_ratio` is the mean absolute error of `way` by the naive way's in the trials, None where there were none:
    the series is `constant`, or has been zero for its last week (`gone`), and then nothing says how far it may be off.
    `frame` has a row for each step: `at_us` and COLUMNS, bounds null where not known. A bound of 80 % holds four of
    five steps; that of 95 % nineteen of twenty.
    """

    name: str
    way: str
    error_ratio: float | None
    known_steps: int
    unknown_steps: int
    edges: Integers
    nominal_us: int
    frame: pl.DataFrame
    trials: Trials | None
    never_negative: bool

    @property
    def beyond_trials(self) -> bool:
        """Tell whether steps lie further ahead than any trial reached: their bounds follow from how errors grew."""
        return self.trials is not None and self.trials.steps.tested < len(self.frame)


Outcome = Forecast | NoForecast


def forecast(series: Series, until_us: int) -> Outcome:
    """Carry a series forward to `until_us` (excluded); a step that it cuts is whole in the frame.

    Values that are NaN or infinite are not known. Raises AnalysisError where `until_us` is not after the series, and
    on more steps than MOST_STEPS.
    """
    edges = _ahead(series, until_us)
    horizon = len(edges) - 1
    values = _since_it_appeared(np.where(np.isfinite(series.values), series.values, np.nan))
    known = np.isfinite(values)
    days = float(known.sum()) / series.grain.per_day
    if not len(values):
        return NoForecast(series.name, Reason.EMPTY, 0.0)
    if not known.any():
        return NoForecast(series.name, Reason.NOT_KNOWN, 0.0)
    if days < LEAST_DAYS:
        return NoForecast(series.name, Reason.TOO_SHORT, days)
    values = values[np.flatnonzero(known)[0] :]
    known = np.isfinite(values)
    newest = values[known][-series.grain.week :]
    facts = (int(known.sum()), int((~known).sum()), edges, nominal_us(series.grain))
    never_negative = bool(values[known].min() >= 0)
    if not newest.any() or np.ptp(values[known]) == 0:
        way = CONSTANT if newest.any() else GONE
        return Forecast(series.name, way, None, *facts, _frame(edges, np.full(horizon, newest[-1])), None, True)
    trials = run_trials(values, horizon, series.grain)
    expected = carry(values, horizon, series.grain)[trials.way]
    frame = _frame(edges, expected, trials, never_negative=never_negative)
    return Forecast(series.name, trials.way, trials.error_ratio, *facts, frame, trials, never_negative)


def _ahead(series: Series, until_us: int) -> Integers:
    if not len(series.edges) or until_us <= series.end_us:
        raise AnalysisError(f"{series.name} is known up to there already", hint="name a later end")
    if (until_us - series.end_us) // nominal_us(series.grain) > MOST_STEPS:
        raise AnalysisError(
            f"a forecast of more than {MOST_STEPS:,} steps is not made", hint="name a nearer end, or steps of days"
        )
    zone = find_zone(series.zone)
    edges = [series.end_us]
    while edges[-1] < until_us:
        edges.append(next_edge(edges[-1], series.grain, zone))
    return np.array(edges, dtype=np.int64)


def _since_it_appeared(values: Floats) -> Floats:
    """Return the series from its first value that is not zero on: what was before it was there says nothing of it."""
    there = np.flatnonzero(~np.isnan(values) & (values != 0))
    return values[there[0] :] if len(there) else values


def _frame(
    edges: Integers,
    expected: Floats,
    trials: Trials | None = None,
    *,
    never_negative: bool = True,
) -> pl.DataFrame:
    ahead = np.arange(1, len(expected) + 1, dtype=np.float64)
    columns: dict[str, Floats | None] = {"expected": expected}
    for level in LEVELS:
        for side, probability in (("low", (1 - level) / 2), ("high", (1 + level) / 2)):
            name = f"{side}_{level * 100:.0f}"
            bound = None if trials is None else expected + trials.steps.at(probability, ahead)
            columns[name] = np.maximum(bound, 0.0) if bound is not None and never_negative else bound
    return pl.DataFrame({"at_us": edges[:-1], **columns}, schema_overrides=dict.fromkeys(COLUMNS, pl.Float64))

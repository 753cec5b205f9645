"""The ways to carry a series forward, all at once; the only door to statsmodels.

Each is a plain one, because spend on GPUs moves in steps and plain ways last: the same step of the week before (the
seasonal naive way), a smoothed level, the level with a weekly rhythm (and a daily one, of hours), and a damped trend.
How fast a level forgets is not fitted to the next step but chosen by trial at the horizon that is asked for
(`forecast_trials`). At a given speed the level of exponential smoothing is a weighted mean, whatever steps are known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from analytics.drift_samples import Floats

NAIVE: Final = "seasonal naive"
COMBINED: Final = "mean of all ways"
TREND: Final = "damped trend"
HALF_LIVES_DAYS: Final = (1, 4, 14)
LEAST_WEEKS: Final = 2  # of a series, to tell a rhythm from chance
LEVEL_SPEED, TREND_SPEED, DAMPING = 0.3, 0.1, 0.98  # of the damped trend
_QUICK: Final = {"inner_iter": 1, "outer_iter": 0}


class Grain(NamedTuple):
    """The length of a step: how many make a day, and the lengths of the rhythms in steps, the week last."""

    name: str
    per_day: int
    seasons: tuple[int, ...]

    @property
    def week(self) -> int:
        """Return how many steps make a week."""
        return 7 * self.per_day


DAY: Final = Grain("day", 1, (7,))
HOUR: Final = Grain("hour", 24, (24, 168))
GRAINS: Final = {grain.name: grain for grain in (DAY, HOUR)}


def carry(values: Floats, horizon: int, grain: Grain) -> dict[str, Floats]:
    """Return the `horizon` steps after `values` (NaN: not known; the last one is the newest) by each way that can.

    A series that never was below zero stays so. At least one value has to be known.
    """
    found = {NAIVE: naive(values, horizon, grain.week)}
    for half_life, level in _levels(values, grain).items():
        found[f"level ({half_life} d)"] = np.full(horizon, level)
    if np.isfinite(values).sum() > LEAST_WEEKS * grain.week:
        found |= _with_rhythm(values, horizon, grain)
    found[COMBINED] = np.mean([each for name, each in found.items() if name != NAIVE], axis=0)
    if np.nanmin(values) >= 0:
        return {name: np.maximum(each, 0.0) for name, each in found.items()}
    return found


def naive(values: Floats, horizon: int, season: int) -> Floats:
    """Return the newest season again and again; of a step that is not known in it, the one a season earlier."""
    newest = np.full(season, np.nan)
    for end in range(len(values), 0, -season):
        part = values[max(0, end - season) : end]
        padded = np.concatenate([np.full(season - len(part), np.nan), part])
        newest = np.where(np.isnan(newest), padded, newest)
        if not np.isnan(newest).any():
            break
    return np.resize(np.where(np.isnan(newest), np.nanmean(values), newest), horizon)


def fill(values: Floats, season: int) -> Floats:
    """Return the series with each unknown step as the mean of the nearest known ones in its place of the season.

    A rhythm is found in whole series only; what is filled in is never scored.
    """
    unknown = np.flatnonzero(np.isnan(values))
    if not len(unknown):
        return values
    filled, mean = values.copy(), np.nanmean(values)
    for at in unknown:
        same = values[at % season :: season]
        known = np.flatnonzero(np.isfinite(same))
        nearest = known[np.argsort(np.abs(known - at // season), kind="stable")[:2]]
        filled[at] = same[nearest].mean() if len(nearest) else mean
    return filled


def rhythm(values: Floats, grain: Grain) -> Floats:
    """Return the seasonal part of a whole series (STL, MSTL): each rhythm as it was lately, around zero."""
    from statsmodels.tsa.seasonal import MSTL, STL  # noqa: PLC0415 - it takes seconds to import

    if len(grain.seasons) == 1:
        fitted = STL(values, period=grain.week, seasonal=13, seasonal_deg=0).fit(**_QUICK)
        return np.asarray(fitted.seasonal, dtype=np.float64)
    jumps = {"seasonal_jump": 5, "trend_jump": grain.per_day, "low_pass_jump": grain.per_day}
    several = MSTL(
        values, periods=grain.seasons, windows=(11, 13), iterate=1, stl_kwargs={"seasonal_deg": 0, **jumps, **_QUICK}
    )
    return np.asarray(several.fit().seasonal.sum(axis=1), dtype=np.float64)


def _with_rhythm(values: Floats, horizon: int, grain: Grain) -> dict[str, Floats]:
    seasonal = rhythm(fill(values, grain.week), grain)
    rest = values - seasonal
    coming = np.resize(seasonal[-grain.week :], horizon)
    found = {f"rhythm ({half_life} d)": level + coming for half_life, level in _levels(rest, grain).items()}
    if grain is DAY:
        found[TREND] = damped_trend(fill(rest, grain.week), horizon) + coming
    return found


def _levels(values: Floats, grain: Grain) -> dict[int, float]:
    """Return by half-life (days) the exponentially smoothed mean at the end; unknown steps weigh nothing."""
    known = np.isfinite(values)
    age_days = np.arange(len(values) - 1, -1, -1)[known] / grain.per_day
    least = age_days[-1]  # however long ago the newest known step is, it weighs one
    return {
        half_life: float(np.average(values[known], weights=0.5 ** ((age_days - least) / half_life)))
        for half_life in HALF_LIVES_DAYS
    }


def damped_trend(values: Floats, horizon: int) -> Floats:
    """Return Holt's damped trend at fixed speeds, from the line through the first ten values on.

    The same as of `statsmodels.tsa.holtwinters.Holt`, to which a test holds it; there, making the result object takes
    thirty times as long as the arithmetic, and this is done at every origin of every series.
    """
    slope, level = (float(each) for each in np.polyfit(np.arange(1, 11), values[:10], 1))
    trend = slope
    for value in values.tolist():
        came = level + DAMPING * trend
        level_now = LEVEL_SPEED * value + (1 - LEVEL_SPEED) * came
        trend = TREND_SPEED * (level_now - level) + (1 - TREND_SPEED) * DAMPING * trend
        level = level_now
    return np.asarray(level + trend * np.cumsum(DAMPING ** np.arange(1, horizon + 1)), dtype=np.float64)

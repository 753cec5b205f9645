"""What forecasts of a series were worth in its own past: rolling origins, the way that did best, and its errors.

From each origin every way sees what lies before it alone, and is held against what came. The naive way is used unless
another had a smaller mean absolute error on the same steps. The errors of the way that is used make the intervals
(split conformal, scaled by horizon): a step, or a sum of steps, lies as far off as forecasts like it did.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy import stats

from analytics.drift_samples import Floats, Integers
from analytics.forecast_ways import DAY, NAIVE, Grain, carry

ORIGINS: Final = 28
FIRST_ORIGIN_DAYS: Final = 8
STEP_GROWTH: Final = (0.0, 0.5)  # of the error of a step with its horizon: exponents from none to a random walk's
SUM_GROWTH: Final = (0.85, 1.0)  # of the error of a sum: levels move, so errors add up rather than cancel out
_LEAST_FREEDOM: Final = 2.0
_LEAST_TRIALS: Final = 3
_LEAST_SIDE: Final = 0.5  # of the other side: a short past may have erred to one side alone
_TAILS: Final = (0.8, 0.9, 0.95, 0.975, 0.99)
_GRID: Final = np.concatenate([np.linspace(0.005, 0.495, 99), np.linspace(0.505, 0.995, 99)])


class Spread(NamedTuple):
    """How far what comes lies from what is expected, `horizon` steps ahead: quantiles of scaled errors.

    `tested` is the furthest horizon that was tried on the series; further ones follow from how errors grew up to it.
    `freedom` is how many independent blocks of the past the quantiles are worth.
    """

    probabilities: Floats
    offsets: Floats
    growth: float
    freedom: float
    tested: int

    def at(self, probability: float, horizon: float | Floats) -> Floats:
        """Return by how much what comes stays below, with this probability, what is expected plus this."""
        off = float(np.interp(probability, self.probabilities, self.offsets))
        return np.asarray(off * np.asarray(horizon, dtype=np.float64) ** self.growth)

    def chance_above(self, excess: float, horizon: float) -> float:
        """Return the chance that what comes is more than what is expected plus `excess`; from 0.005 to 0.995."""
        scaled = excess / horizon**self.growth
        return float(1 - np.interp(scaled, self.offsets, self.probabilities))

    def p_value(self, error: float, horizon: float, freedom: float) -> float:
        """Return the chance of an error at least as large to either side, by Student's t beyond what was ever seen.

        Its scale is that of the side's own quantiles, the widest of them: heavy tails make it wide.
        """
        outer = np.array(_TAILS) if error >= 0 else 1 - np.array(_TAILS)
        sizes = np.abs(np.interp(outer, self.probabilities, self.offsets)) / stats.t.ppf(_TAILS, self.freedom)
        scale = float(sizes.max()) * horizon**self.growth
        if scale == 0:
            return 1.0 if error == 0 else 0.0
        return float(2 * stats.t.sf(abs(error) / scale, freedom))


class Trials(NamedTuple):
    """The way that is used, its mean absolute error by the naive way's, and its spread, by step and by sum."""

    way: str
    error_ratio: float
    origins: int
    steps: Spread
    sums: Spread


def run_trials(values: Floats, horizon: int, grain: Grain) -> Trials:
    """Return what trials on a series say that has at least two known steps, the first of them first."""
    errors = _errors(values, horizon, grain)
    way, ratio = _choose(errors)
    found = errors[way]
    found = found[np.isfinite(found).any(axis=1)]
    sums = np.where(np.isfinite(found), np.nancumsum(found, axis=1), np.nan)
    days = len(values) / grain.per_day
    ahead = horizon / grain.per_day
    alike = 7.0 if grain is DAY else min(7.0, max(1.0, ahead))  # days of one independent block: hours forget sooner
    after_first = days - 7
    return Trials(
        way,
        ratio,
        len(found),
        _spread(found, STEP_GROWTH, after_first / alike),
        _spread(sums, SUM_GROWTH, after_first / max(7.0, ahead)),
    )


def _errors(values: Floats, horizon: int, grain: Grain) -> dict[str, Floats]:
    """Return by way the errors (what came less what was expected) by origin and horizon, NaN where not known.

    Origins lie before steps that are known, so that there is something to hold each forecast against.
    """
    known = np.flatnonzero(np.isfinite(values))
    first = min(FIRST_ORIGIN_DAYS * grain.per_day, int(known[-1]))
    tried = known[known >= first]
    origins = tried[np.unique(np.linspace(0, len(tried) - 1, min(ORIGINS, len(tried))).round().astype(int))]
    errors: dict[str, Floats] = {}
    for row, origin in enumerate(origins):
        if not np.isfinite(values[:origin]).any():
            continue
        came = values[origin : origin + horizon]
        for way, expected in carry(values[:origin], len(came), grain).items():
            table = errors.setdefault(way, np.full((len(origins), horizon), np.nan))
            table[row, : len(came)] = came - expected
    return errors


def _choose(errors: dict[str, Floats]) -> tuple[str, float]:
    """Return the way with the least error by the naive way's on the same steps, and that ratio; naive where none is."""
    by_naive = errors[NAIVE]
    ratios = {NAIVE: 1.0}
    for way, found in errors.items():
        both = np.isfinite(found) & np.isfinite(by_naive)
        of_naive = float(np.abs(by_naive[both]).sum())
        if of_naive > 0:
            ratios[way] = float(np.abs(found[both]).sum()) / of_naive
    way = min(ratios, key=lambda name: (ratios[name], name != NAIVE))
    return way, ratios[way]


def _spread(errors: Floats, growth: tuple[float, float], freedom: float) -> Spread:
    """Return the quantiles of errors scaled by how they grow with the horizon.

    Two things widen them, for the past is short: the conformal correction for the count of origins, and Student's t
    for the count of independent blocks that the origins are worth (`freedom`; origins that overlap are one block).
    """
    horizons = np.arange(1, errors.shape[1] + 1, dtype=np.float64)
    known = np.isfinite(errors).sum(axis=0)
    exponent = _growth(errors, known, horizons, growth)
    scaled = errors / horizons**exponent
    scores = scaled[np.isfinite(scaled)]
    upper = _GRID > 0.5
    outer = np.where(upper, _GRID, 1 - _GRID)
    corrected = np.minimum(1.0, outer * (1 + 1 / len(errors)))
    quantiles = np.quantile(scores, np.where(upper, corrected, 1 - corrected))
    freedom = max(_LEAST_FREEDOM, freedom)
    widened = stats.t.ppf(outer, freedom) / stats.norm.ppf(outer)
    offsets = np.where(upper, np.maximum(quantiles, 0.0), np.minimum(quantiles, 0.0)) * widened
    other = -_LEAST_SIDE * offsets[::-1]  # the same bound of the other side, turned over
    offsets = np.where(upper, np.maximum(offsets, other), np.minimum(offsets, other))
    return Spread(_GRID, np.maximum.accumulate(offsets), exponent, freedom, int(np.flatnonzero(known)[-1]) + 1)


def _growth(errors: Floats, known: Integers, horizons: Floats, bounds: tuple[float, float]) -> float:
    """Return the exponent with which mean absolute errors grow with the horizon, inside its bounds."""
    enough = known >= _LEAST_TRIALS
    sizes = np.full(len(horizons), np.nan)
    sizes[enough] = np.nanmean(np.abs(errors[:, enough]), axis=0)
    usable = enough & (np.nan_to_num(sizes) > 0)
    if usable.sum() < _LEAST_TRIALS:
        return sum(bounds) / 2
    slope = np.polyfit(np.log(horizons[usable]), np.log(sizes[usable]), 1, w=np.sqrt(known[usable]))[0]
    return float(np.clip(slope, *bounds))

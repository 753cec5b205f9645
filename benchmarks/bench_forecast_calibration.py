"""Back-test of forecasts on real clusters: errors beside the naive way's, and how often intervals hold what came."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from analytics.forecast import LEAST_DAYS, Forecast, forecast
from analytics.forecast_ends import land
from analytics.forecast_series import Series
from analytics.forecast_ways import DAY, HOUR, NAIVE, naive
from benchmarks.real_series import SETS, missing, real_series, up_to

HORIZONS = {DAY: (1, 7, 14, 28), HOUR: (24, 168)}
EVERY = {DAY: 1, HOUR: 24 * 3 + 7}  # steps from one origin to the next


class Trial(NamedTuple):
    """One forecast held against what came: mean absolute errors, and shares of what lay inside the bounds."""

    error: float
    naive_error: float
    scale: float  # mean absolute difference of the past to a week before: what MASE divides by
    came: float
    steps_80: float
    steps_95: float
    sum_80: bool
    sum_95: bool
    is_naive: bool


def main() -> int:
    """Print the table; without the real data, say so."""
    if path := missing():
        print(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
        return 0
    print("MASE and WAPE: ours / seasonal naive. In: share of steps (sums) inside the bounds of 80 % and 95 %.")
    print(f"{'series':36} {'grain':5} {'ahead':>5} {'n':>4}  {'MASE':>11}  {'WAPE':>11}  naive  steps in    sums in")
    for grain, horizons in HORIZONS.items():
        for name in SETS:
            for horizon in horizons:
                if trials := back_test(real_series(name, grain), horizon, EVERY[grain]):
                    print(f"{name:36} {grain.name:5} {horizon:5} {summary(trials)}", flush=True)
    return 0


def back_test(series: list[Series], horizon: int, every: int) -> list[Trial]:
    """Return a trial for each series and origin that leaves LEAST_DAYS before it and `horizon` steps after it."""
    trials = []
    for each in series:
        for origin in range(LEAST_DAYS * each.grain.per_day, len(each.values) - horizon + 1, every):
            trial = _trial(each, origin, horizon)
            if trial:
                trials.append(trial)
    return trials


def _trial(series: Series, origin: int, horizon: int) -> Trial | None:
    """Return None where there is no forecast, or none with bounds, or nothing known came."""
    past, came = up_to(series, origin), series.values[origin : origin + horizon]
    until_us = int(series.edges[origin + horizon])
    found = forecast(past, until_us)
    known = np.isfinite(came)
    if not isinstance(found, Forecast) or found.trials is None or not known.any():
        return None
    bounds = {name: found.frame[name].to_numpy() for name in found.frame.columns}
    week = series.grain.week
    plain = naive(past.values, horizon, week)
    landing = land(found, 0.0, past.end_us, until_us)
    total = float(np.where(known, came, bounds["expected"]).sum())
    assert landing.low_80 is not None and landing.high_80 is not None  # noqa: PT018 - all four, or none
    assert landing.low_95 is not None and landing.high_95 is not None  # noqa: PT018 - all four, or none
    return Trial(
        float(np.abs(came - bounds["expected"])[known].mean()),
        float(np.abs(came - plain)[known].mean()),
        float(np.nanmean(np.abs(past.values[week:] - past.values[:-week]))),
        float(np.abs(came[known]).mean()),
        float(((came >= bounds["low_80"]) & (came <= bounds["high_80"]))[known].mean()),
        float(((came >= bounds["low_95"]) & (came <= bounds["high_95"]))[known].mean()),
        landing.low_80 <= total <= landing.high_80,
        landing.low_95 <= total <= landing.high_95,
        found.way == NAIVE,
    )


def summary(trials: list[Trial]) -> str:
    """Return the cells of a row; MASE is the mean over trials, WAPE of the sums."""
    table = np.array(trials, dtype=np.float64)
    error, plain, scale, came = table[:, 0], table[:, 1], np.maximum(table[:, 2], 1e-9), table[:, 3]
    inside = table[:, 4:8].mean(axis=0)
    return (
        f"{len(trials):4}  {(error / scale).mean():5.2f}/{(plain / scale).mean():5.2f}"
        f"  {error.sum() / came.sum():5.2f}/{plain.sum() / came.sum():5.2f}  {table[:, 8].mean():5.0%}"
        f"  {inside[0]:4.0%} {inside[1]:4.0%}  {inside[2]:4.0%} {inside[3]:4.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())

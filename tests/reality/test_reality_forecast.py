"""Forecasts of real clusters: better than repeating last week, with bounds that hold about what they say."""

from __future__ import annotations

import os

import numpy as np
import pytest

from analytics.forecast_ways import DAY, HOUR, Grain
from benchmarks.bench_forecast_calibration import back_test
from benchmarks.real_series import SETS, missing, real_series

EARTH, PHILLY, VENUS = SETS


@pytest.fixture(scope="module", autouse=True)
def _data() -> None:
    """Skip without the traces; in CI their absence is a failure."""
    if path := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")


@pytest.mark.parametrize(
    ("name", "grain", "horizon", "every"),
    [(PHILLY, DAY, 7, 5), (VENUS, DAY, 14, 9), (PHILLY, HOUR, 24, 331), (VENUS, HOUR, 24, 331)],
)
def test_forecasts_beat_last_week_and_say_how_far_off_they_may_be(
    name: str, grain: Grain, horizon: int, every: int
) -> None:
    """Over rolling origins: a smaller mean absolute error than the naive way's, and no bounds far too narrow."""
    trials = np.array(back_test(real_series(name, grain), horizon, every), dtype=np.float64)
    error, naive = trials[:, 0].sum(), trials[:, 1].sum()
    assert len(trials) >= 10
    assert error < naive
    assert trials[:, 4].mean() > 0.7  # of 80 %
    assert trials[:, 5].mean() > 0.88  # of 95 %


def test_the_day_on_which_all_queues_read_zero_is_not_known() -> None:
    """An outage of the monitoring is not taken as a day without work, and is never scored."""
    series = real_series(EARTH, DAY)
    assert len(series) == 8
    assert {int(np.isnan(each.values).sum()) for each in series} == {1}

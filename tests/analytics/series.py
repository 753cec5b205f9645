"""Series made up for tests: days from a Monday on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.forecast_series import Series
from analytics.forecast_ways import DAY, HOUR, Grain
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05


def days(values: Sequence[float] | np.ndarray, name: str = "vision") -> Series:
    """Return a series of days."""
    return _steps(values, DAY, US_PER_DAY, name)


def hours(values: Sequence[float] | np.ndarray, name: str = "vision") -> Series:
    """Return a series of hours."""
    return _steps(values, HOUR, US_PER_HOUR, name)


def after(series: Series, count: float) -> int:
    """Return where `count` more days end."""
    return series.end_us + round(count * US_PER_DAY)


def weekly(rng: np.random.Generator, count: int, noise: float = 10.0) -> np.ndarray:
    """Return days of a fleet that rests at weekends."""
    return np.where(np.arange(count) % 7 >= 5, 40.0, 200.0) + noise * rng.standard_normal(count)


def _steps(values: Sequence[float] | np.ndarray, grain: Grain, step_us: int, name: str) -> Series:
    edges = MONDAY_US + np.arange(len(values) + 1, dtype=np.int64) * step_us
    return Series(name, grain, "UTC", edges, np.asarray(values, dtype=np.float64))

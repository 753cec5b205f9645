"""Fleets whose days follow laws that do not change, and what can be planted in them: for errors of anomalies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from analytics.drift_samples import Floats
from analytics.forecast_series import Series
from analytics.forecast_ways import DAY
from gpuledger.accounting.units import US_PER_DAY

MONDAY_US: Final = 1_767_571_200_000_000  # 2026-01-05
LAWS: Final = ("even", "days alike", "trainings", "skewed", "weekly", "on and off", "rare", "gaps")


class Fleet(NamedTuple):
    """How many days, of which the last `window` are looked at."""

    days: int = 63
    window: int = 14


def draw(rng: np.random.Generator, fleet: Fleet) -> list[Series]:
    """Return a team for each of LAWS; none of them changes."""
    edges = MONDAY_US + np.arange(fleet.days + 1, dtype=np.int64) * US_PER_DAY
    return [Series(law, DAY, "UTC", edges, _values(rng, law, fleet.days)) for law in LAWS]


def window_from(fleet: Fleet) -> int:
    """Return where the days begin that are looked at."""
    return MONDAY_US + (fleet.days - fleet.window) * US_PER_DAY


def planted(series: Series, kind: str, fleet: Fleet) -> Series:
    """Return a series with one thing changed inside the window: a spike, a level shift or a drop-out."""
    values = series.values.copy()
    start = fleet.days - fleet.window + 2
    if kind == "spike":
        values[start : start + 2] *= 4
    elif kind == "level_shift":
        values[start:] *= 2.5
    else:
        values[start:] = np.where(np.isnan(values[start:]), np.nan, 0.0)
    return series._replace(values=values)


def _values(rng: np.random.Generator, law: str, days: int) -> Floats:
    weekend = (np.arange(days) % 7 >= 5).astype(np.float64)
    laws: dict[str, Callable[[], Floats]] = {
        "even": lambda: 400 + 40 * rng.standard_normal(days),
        "days alike": lambda: 400 * np.exp(0.25 * _alike(rng, days, 0.5)),
        "trainings": lambda: 400 * np.exp(0.4 * _alike(rng, days, 0.9)),
        "skewed": lambda: np.exp(5 + 1.0 * rng.standard_normal(days)),
        "weekly": lambda: (400 - 300 * weekend) * np.exp(0.15 * _alike(rng, days, 0.5)),
        "on and off": lambda: np.where(_alike(rng, days, 0.8) > 0, 300 + 30 * rng.standard_normal(days), 0.0),
        "rare": lambda: np.where(rng.random(days) < 0.15, 200 * np.exp(rng.standard_normal(days)), 0.0),
        "gaps": lambda: np.where(rng.random(days) < 0.1, np.nan, 200 + 30 * _alike(rng, days, 0.6)),
    }
    return np.asarray(laws[law](), dtype=np.float64)


def _alike(rng: np.random.Generator, days: int, persistence: float) -> Floats:
    """Return a standard normal series, each day correlated with the one before."""
    noise = rng.standard_normal(days)
    for day in range(1, days):
        noise[day] = persistence * noise[day - 1] + np.sqrt(1 - persistence**2) * noise[day]
    return noise

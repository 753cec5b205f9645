"""Fleets whose days follow a law that does not change, or changes where it is told to: for drift's error rates.

They have what makes real fleets hard: teams whose days resemble the ones before (`persistence`), devices of a team that
move together (`shared`), weekends, skewed and half-empty metrics, metrics that follow one another, gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analytics.drift_frames import Observations

Floats = NDArray[np.float64]
MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
METRICS: Final = (
    "active_ratio", "power_w", "memory_bytes", "temperature_c", "sm_clock_mhz", "memory_clock_mhz", "gpu_hours", "cost",
)  # fmt: skip


class Law(NamedTuple):
    """What a fleet's days follow."""

    devices: int = 64
    teams: int = 8
    reference_days: int = 28
    current_days: int = 7
    persistence: float = 0.5  # correlation of a day with the one before
    shared: float = 0.4  # of the variance of a device's day, what its team has in common
    weekend: float = 0.8  # standard deviations by which weekends are lower
    gaps: float = 0.02  # of device-days, those that nobody observed


def draw(rng: np.random.Generator, law: Law, metrics: tuple[str, ...] = METRICS) -> Observations:
    """Return one draw: days of devices with their team, model and workload."""
    days = law.reference_days + law.current_days
    team = np.arange(law.devices) % law.teams
    common = _series(rng, law.teams, days, law.persistence)[team]
    own = _series(rng, law.devices, days, law.persistence / 2)
    weekend = (np.arange(days) % 7 >= 5) * law.weekend
    work = np.sqrt(law.shared) * common + np.sqrt(1 - law.shared) * own - weekend
    columns = {name: _metric(rng, name, work).ravel() for name in metrics}
    day = np.tile(np.arange(days), law.devices)
    device, of_team = np.repeat(np.arange(law.devices), days), np.repeat(team, days)
    frame = pl.DataFrame({"device": device, "team": of_team, "day": day, **columns}).select(
        (pl.lit(MONDAY) + pl.duration(days="day")).dt.cast_time_unit("us").alias("at"),
        pl.format("GPU-{}", "device").alias("device"),
        pl.format("team-{}", "team").alias("team"),
        pl.format("workload-{}", "team").alias("workload"),
        pl.lit("H100").alias("model"),
        *columns,
    )
    seen = frame.filter(pl.Series(rng.random(len(frame)) >= law.gaps))
    first_current = MONDAY.timestamp() * 1e6 + law.reference_days * 86_400e6
    current = pl.col("at").dt.epoch("us") >= int(first_current)
    return Observations("device-day", seen.filter(~current), seen.filter(current), metrics)


def draw_jobs(rng: np.random.Generator, law: Law, a_day: float = 12.0) -> Observations:
    """Return one draw of jobs: lengths over four decades, sizes 1 to 8, sweeps of one day alike."""
    days = law.reference_days + law.current_days
    frames = []
    for team in range(law.teams):
        busy = np.exp(0.4 * _series(rng, 1, days, law.persistence)[0])
        counts = rng.poisson(a_day * busy)
        day = np.repeat(np.arange(days), counts)
        alike = _series(rng, 1, days, law.persistence)[0][day]
        hours = np.exp(1.5 * (np.sqrt(law.shared) * alike + np.sqrt(1 - law.shared) * rng.standard_normal(len(day))))
        sizes = rng.choice([1, 2, 4, 8], len(day), p=[0.6, 0.15, 0.1, 0.15])
        frames.append(pl.DataFrame({"team": f"team-{team}", "day": day, "job_hours": hours, "job_gpus": sizes}))
    at = (pl.lit(MONDAY) + pl.duration(days="day") + pl.duration(hours=3)).dt.cast_time_unit("us").alias("at")
    jobs = pl.concat(frames).with_columns(at)
    current = pl.col("day") >= law.reference_days
    return Observations("job", jobs.filter(~current), jobs.filter(current), ("job_hours", "job_gpus"))


def shifted(found: Observations, which: pl.Expr, metric: str, *, times: float = 1.0, plus: float = 0.0) -> Observations:
    """Return observations with a metric changed in the current window, where `which` holds."""
    changed = pl.when(which).then(pl.col(metric) * times + plus).otherwise(pl.col(metric)).alias(metric)
    return found._replace(current=found.current.with_columns(changed))


def _series(rng: np.random.Generator, count: int, days: int, persistence: float) -> Floats:
    """Return standard normal series, each day correlated with the one before."""
    noise = rng.standard_normal((count, days))
    for day in range(1, days):
        noise[:, day] = persistence * noise[:, day - 1] + np.sqrt(1 - persistence**2) * noise[:, day]
    return noise


def _metric(rng: np.random.Generator, name: str, work: Floats) -> Floats:
    """Return a metric of days on which there was this much work (in standard deviations)."""
    own = rng.standard_normal(work.shape)
    share = 1 / (1 + np.exp(-work - 0.5))
    by_device = np.repeat(rng.standard_normal((len(work), 1)), work.shape[1], axis=1)
    laws: dict[str, Callable[[], Floats]] = {
        "active_ratio": lambda: share,
        "power_w": lambda: (90 + 560 * share) * (1 + 0.02 * by_device) * (1 + 0.005 * own),
        "memory_bytes": lambda: np.exp(23 + 0.5 * own),
        "temperature_c": lambda: 35 + 40 * share + by_device + 0.5 * own,
        "sm_clock_mhz": lambda: 1_980 - 90 * share + 5 * own,
        "memory_clock_mhz": lambda: np.full(work.shape, 2_619.0),
        "gpu_hours": lambda: np.where(work + own > 0.8, 24 * share, 0.0),
        "cost": lambda: np.exp(2 + 1.2 * work),
    }
    return laws[name]()

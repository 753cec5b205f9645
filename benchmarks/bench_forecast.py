"""Forecasts of a thousand owners from 90 days of hours, and of days: CPU and memory, against the naive way alone."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from analytics.anomaly import find_anomalies
from analytics.forecast import forecast
from analytics.forecast_series import Series, nominal_us
from analytics.forecast_ways import DAY, HOUR, Grain, naive
from gpuledger.accounting.units import US_PER_DAY

OWNERS = 1_000
DAYS = 90
AHEAD_DAYS = 30
MONDAY_US = 1_767_571_200_000_000  # 2026-01-05


def main() -> int:
    """Print the figures."""
    owners = int(sys.argv[1]) if len(sys.argv) > 1 else OWNERS
    until_us = MONDAY_US + (DAYS + AHEAD_DAYS) * US_PER_DAY
    warm = draw(1, DAY)[0]
    forecast(warm, until_us)
    for grain in (HOUR, DAY):
        series = draw(owners, grain)
        steps = AHEAD_DAYS * grain.per_day
        ours = cpu(partial(carry_all, series, until_us))
        plain = cpu(partial(repeat_all, series, steps))
        size = f"{owners:,} owners, {DAYS} days by the {grain.name}, {AHEAD_DAYS} days ahead"
        print(f"  {size}: {ours:6.1f} s of CPU; naive {plain:.3f} s ({ours / plain:,.0f} times)", flush=True)
    window = MONDAY_US + (DAYS - 28) * US_PER_DAY
    took = cpu(lambda: find_anomalies(draw(owners, DAY), window))
    print(f"  anomalies of the last 28 days by the day: {took:6.1f} s of CPU", flush=True)
    print(f"  most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    return 0


def carry_all(series: list[Series], until_us: int) -> None:
    """Forecast each."""
    for each in series:
        forecast(each, until_us)


def repeat_all(series: list[Series], steps: int) -> None:
    """Repeat each one's last week."""
    for each in series:
        naive(each.values, steps, each.grain.week)


def draw(owners: int, grain: Grain) -> list[Series]:
    """Return owners with a working day, weekends, noise and steps of their level."""
    rng = np.random.default_rng(7)
    count = DAYS * grain.per_day
    at = np.arange(count)
    weekend = (at // grain.per_day) % 7 >= 5
    edges = MONDAY_US + np.arange(count + 1, dtype=np.int64) * nominal_us(grain)
    found = []
    for number in range(owners):
        level = np.where(at < rng.integers(count), *rng.uniform(50, 200, 2))
        hour = at % grain.per_day / grain.per_day
        values = level * (1 - 0.5 * weekend) * (1 + 0.4 * np.sin(2 * np.pi * hour)) + 10 * rng.standard_normal(count)
        found.append(Series(f"team-{number}", grain, "UTC", edges, np.maximum(values, 0.0)))
    return found


def cpu(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, all threads together."""
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())

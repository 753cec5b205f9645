"""Drift of 10,000 devices in 8 metrics: seconds of CPU and of the clock, against Evidently on a part of the rows."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

from analytics.drift import find_drift
from analytics.drift_hardware import find_causes
from benchmarks.drift_fleet import METRICS, Law, draw

FLEET = Law(devices=10_000, teams=400)
SAMPLED = 20


class Took(NamedTuple):
    """What a call took."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Print the figures."""
    found = draw(np.random.default_rng(7), FLEET)
    rows = len(found.reference) + len(found.current)
    print(f"{FLEET.devices:,} devices, {len(METRICS)} metrics, {rows:,} device-days")
    devices = timed(lambda: find_drift([found], "device"))
    show("by device", devices)
    show("by team", timed(lambda: find_drift([found], "team")))
    show("a failing card or other work", timed(lambda: find_causes(found)))
    few = [f"GPU-{number}" for number in range(SAMPLED)]
    windows = [
        [frame.filter(pl.col("device") == name).select(METRICS).to_pandas() for name in few]
        for frame in (found.reference, found.current)
    ]
    from evidently import Dataset, Report  # noqa: PLC0415 - its import is not part of what is measured
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    def evidently() -> None:
        for reference, current in zip(*windows, strict=True):
            Report([DataDriftPreset()]).run(Dataset.from_pandas(current), Dataset.from_pandas(reference)).dict()

    warnings.simplefilter("ignore")  # constants divide by zero in its correlations
    theirs = timed(evidently)
    each = theirs.cpu_s / SAMPLED * FLEET.devices
    print(
        f"  Evidently on {SAMPLED} of the devices: {theirs.cpu_s:.1f} s of CPU, so {each:,.0f} s for all: "
        f"{each / devices.cpu_s:,.0f} times ours"
    )
    return 0


def timed(call: Callable[[], object]) -> Took:
    """Return what a call took of the clock and of the CPU, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def show(what: str, took: Took) -> None:
    """Print a line."""
    print(f"  {what:30} {took.wall_s:6.1f} s, {took.cpu_s:6.1f} s of CPU", flush=True)


if __name__ == "__main__":
    sys.exit(main())

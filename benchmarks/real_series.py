"""Series of real clusters, by the hour or the day, for the back-tests of forecasts and anomalies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from analytics.drift_samples import Floats
from analytics.forecast_series import Series, nominal_us
from analytics.forecast_ways import DAY, Grain
from gpuledger.accounting.periods import to_us

DATA: Final = Path(os.environ.get("GPULEDGER_REALITY_DATA") or Path(__file__).parents[2] / "shared" / "data")
WARM_UP_DAYS: Final = 20  # Philly: jobs that ran when the log began are not in it
OUTAGE: Final = datetime(2020, 5, 10, tzinfo=UTC)  # Helios Earth: all queues at zero for just this day
SETS: Final = ("Helios Earth, GPU-hours of 8 queues", "Philly, GPU-hours of 15 teams", "Helios Venus, arrivals")


def real_series(name: str, grain: Grain) -> list[Series]:
    """Return the series of one of SETS. Clocks of the traces are taken as UTC."""
    return dict(zip(SETS, (_earth, _philly, _venus), strict=True))[name](grain)


def _earth(grain: Grain) -> list[Series]:
    """Return what each queue's running jobs held; the day on which all read zero is not known."""
    rows = pl.read_parquet(DATA / "alloc_series_helios_earth" / "vc_minutes_2020-05.parquet")
    steps = _steps(rows, grain, "vc").agg((pl.col("running_gpu_num").sum() / 60).alias("value"))
    unknown = pl.col("at").dt.date() == OUTAGE.date()
    steps = steps.with_columns(pl.when(unknown).then(None).otherwise("value").alias("value"))
    return [_series(str(name), own, grain) for (name,), own in sorted(steps.group_by("vc"))]


def _venus(grain: Grain) -> list[Series]:
    """Return the GPU jobs and the GPUs that were submitted."""
    rows = pl.read_parquet(DATA / "arrivals_helios_venus" / "venus_10min.parquet")
    steps = _steps(rows, grain).agg(pl.col("submit_gpu_job", "submit_gpu_num").sum().cast(pl.Float64))
    names = ("submit_gpu_job", "submit_gpu_num")
    return [_series(name, steps.select("at", pl.col(name).alias("value")), grain) for name in names]


def _philly(grain: Grain) -> list[Series]:
    """Return the GPU-hours of each team, jobs held from submission on for as long as they ran."""
    jobs = pl.read_parquet(DATA / "job_trace_philly" / "philly_jobs.parquet")
    begins = jobs["submit_time"].cast(pl.Datetime("us")).to_physical().to_numpy()
    ends = begins + jobs["duration"].to_numpy() * 1_000_000
    step_us = nominal_us(grain)
    day_us = nominal_us(DAY)
    first, last = -(-int(begins.min()) // day_us) * day_us, int(begins.max()) // day_us * day_us
    edges = np.arange(first + WARM_UP_DAYS * day_us, last + 1, step_us)
    teams, gpus = jobs["vc"].to_numpy(), jobs["num_gpus"].to_numpy().astype(np.float64)
    found = []
    for team in np.unique(teams):
        own = teams == team
        held = np.array([(gpus[own] * np.clip(edge - begins[own], 0, (ends - begins)[own])).sum() for edge in edges])
        found.append(Series(str(team), grain, "UTC", edges, np.diff(held) / 3_600_000_000))
    return found


def _steps(rows: pl.DataFrame, grain: Grain, *keys: str) -> pl.dataframe.group_by.GroupBy:
    at = pl.col("time").cast(pl.Datetime("us")).dt.truncate("1d" if grain is DAY else "1h").alias("at")
    return rows.group_by(*keys, at, maintain_order=True)


def _series(name: str, steps: pl.DataFrame, grain: Grain) -> Series:
    ordered = steps.sort("at")
    first_us = to_us(ordered["at"][0])
    edges = first_us + np.arange(len(ordered) + 1, dtype=np.int64) * nominal_us(grain)
    values: Floats = ordered["value"].fill_null(float("nan")).to_numpy().astype(np.float64)
    return Series(name, grain, "UTC", edges, values)


def up_to(series: Series, steps: int) -> Series:
    """Return the first steps of a series."""
    return series._replace(edges=series.edges[: steps + 1], values=series.values[:steps])


def missing(names: Iterable[str] = ("alloc_series_helios_earth", "arrivals_helios_venus", "job_trace_philly")) -> str:
    """Return the path of the first folder of real data that is not here; empty where all are."""
    return next((str(DATA / name) for name in names if not (DATA / name).exists()), "")

"""Drift on the jobs of a real cluster: days drawn from it at random raise no alarm, and a planted change is found."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analytics.drift import Verdict, find_drift
from analytics.drift_frames import Observations

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data") / "job_trace_philly"
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
REFERENCE_DAYS, CURRENT_DAYS, DRAWS = 28, 14, 40


@pytest.fixture(scope="module")
def jobs() -> pl.DataFrame:
    """Return real jobs with their team, day, weekday, length and size; in CI their absence is a failure."""
    path = DATA / "philly_jobs.parquet"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    found = pl.read_parquet(path)
    at = pl.col("submit_time").cast(pl.Datetime("us"))
    return found.select(
        pl.col("vc").alias("team"),
        at.dt.date().alias("day"),
        (pl.col("duration") / 3600).alias("job_hours"),
        pl.col("num_gpus").cast(pl.Float64).alias("job_gpus"),
    ).filter(pl.col("day") < pl.col("day").max())


def drawn(jobs: pl.DataFrame, seed: int) -> list[Observations]:
    """Return windows made of whole real days, each drawn from those of its weekday: nothing changes between them."""
    rng = np.random.default_rng(seed)
    weekday = {day: day.weekday() for day in jobs["day"].unique().sort().to_list()}
    of_weekday = [[day for day, its in weekday.items() if its == number] for number in range(7)]
    days = []
    for number in range(REFERENCE_DAYS + CURRENT_DAYS):
        known = of_weekday[number % 7]
        days.append(known[int(rng.integers(len(known)))])
    at = [MONDAY + timedelta(days=number) for number in range(len(days))]
    places = pl.DataFrame({"day": days, "at": at}, schema_overrides={"at": pl.Datetime("us", "UTC")})
    rows = places.join(jobs, on="day").sort("at")
    counts = rows.group_by("at", "team").len().with_columns(pl.col("len").cast(pl.Float64).alias("arrivals"))
    teams = places.select("at").join(jobs.select("team").unique(), how="cross")
    daily = teams.join(counts, on=["at", "team"], how="left").with_columns(pl.col("arrivals").fill_null(0.0))
    current = pl.col("at") >= MONDAY + timedelta(days=REFERENCE_DAYS)
    return [
        Observations("job", rows.filter(~current), rows.filter(current), ("job_hours", "job_gpus")),
        Observations("day", daily.filter(~current), daily.filter(current), ("arrivals",)),
    ]


@pytest.mark.slow
def test_days_drawn_at_random_from_a_real_cluster_are_no_drift(jobs: pl.DataFrame) -> None:
    """Lengths over six decades, sweeps of hundreds of jobs on a day, teams of many sizes: at 5 %, few draws of 40."""
    alarms = sum(bool(find_drift(drawn(jobs, seed), "team").findings(Verdict.DRIFT)) for seed in range(DRAWS))
    assert alarms <= 6  # more would be less than one chance in a hundred


def test_jobs_that_are_two_of_six_decades_longer_are_found(jobs: pl.DataFrame) -> None:
    """In the team whose days tell most, alone, and in that figure alone.

    The largest team is not that one: most of its jobs are of a few days, so that its thousands of jobs are worth ten.
    """
    work, daily = drawn(jobs, 3)
    lengths = find_drift([work, daily], "team").frame.filter(pl.col("metric") == "job_hours")
    regular = lengths.sort("current_effective")["group"][-1]
    longer = (
        pl.when(pl.col("team") == regular).then(pl.col("job_hours") * 100).otherwise("job_hours").alias("job_hours")
    )
    changed = work._replace(current=work.current.with_columns(longer))
    found = find_drift([changed, daily], "team").findings(Verdict.DRIFT)
    assert [(row.group, row.metric) for row in found] == [(regular, "job_hours")]

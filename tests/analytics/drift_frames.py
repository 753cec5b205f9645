"""Windows for tests of drift: rows that are written down, and what was found of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from analytics.drift import Drift, Finding, find_drift
from analytics.drift_frames import Observations

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def days(values: list[Any], first: int = 0, **columns: Any) -> pl.DataFrame:
    """Return one row a day, from a day after the Monday on, with `value` and what else is said."""
    at = [MONDAY + timedelta(days=first + number) for number in range(len(values))]
    frame = pl.DataFrame({"at": at, "value": values}, schema_overrides={"at": pl.Datetime("us", "UTC")}, strict=False)
    return frame.with_columns(**{name: pl.lit(value) for name, value in ({"team": "vision"} | columns).items()})


def compare(reference: pl.DataFrame, current: pl.DataFrame, *, unit: str = "day", level: float = 0.05) -> Drift:
    """Return what is found by team."""
    return find_drift([Observations(unit, reference, current, ("value",))], "team", level=level)


def only(drift: Drift) -> Finding:
    """Return the one finding."""
    [found] = drift.findings()
    return found


def normal(count: int, mean: float = 100.0, seed: int = 1) -> list[float]:
    """Return seeded values around a mean, with a deviation of 5."""
    return (mean + 5 * np.random.default_rng(seed).standard_normal(count)).tolist()

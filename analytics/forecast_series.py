"""Series of groups from the steps that `/v1/series` answers: regular, with what is not known marked and never zero.

Pure. A step is not known where more than a twentieth of its device time was not observed (by a property of devices: of
the group's own), where the ledger has nothing of it, and, for money, where the group's time has no price. A step that
was watched and of which a group has nothing is a zero. Values are rates: of a day of 23 hours what 24 would have had.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from analytics.drift_samples import Flags, Floats, Integers
from analytics.forecast_ways import DAY, Grain
from analytics.line_groups import UNATTRIBUTED, UNKNOWN, choose, require
from analytics.windows import BY_DEVICE, MOST_UNOBSERVED
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import day_of
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import AnalysisError

METRICS: Final = ("cost", "gpu_hours", "arrivals")
COLUMNS: Final = (
    "at_us", "key", "part_us", "held_part_us", "unobserved_part_us", "unpriced_part_us", "cost_quanta", "started",
)  # fmt: skip
_VALUES: Final[dict[str, Callable[[], pl.Expr]]] = {
    "cost": lambda: pl.col("cost_quanta") / QUANTA_PER_UNIT,
    "gpu_hours": lambda: pl.col("held_part_us") / (GPU_PARTS * US_PER_HOUR),
    "arrivals": lambda: pl.col("started").cast(pl.Float64),
}


class Series(NamedTuple):
    """One group: a value for each step `[edges[i], edges[i + 1])` (microseconds, UTC), NaN where not known."""

    name: str
    grain: Grain
    zone: str
    edges: Integers
    values: Floats

    @property
    def end_us(self) -> int:
        """Return where the last step ends and a forecast begins."""
        return int(self.edges[-1])


def step_edges(start_us: int, end_us: int, grain: Grain, zone: tzinfo = UTC) -> Integers:
    """Return the edges of the whole steps inside `[start_us, end_us]`; none where there is no whole one."""
    if grain is not DAY:
        first_us = -(-start_us // US_PER_HOUR) * US_PER_HOUR
        return np.arange(first_us, end_us + 1, US_PER_HOUR, dtype=np.int64)
    at_us = day_of(start_us, zone)
    edges = [at_us] if at_us == start_us else []
    while (at_us := next_edge(at_us, grain, zone)) <= end_us:
        edges.append(at_us)
    return np.array(edges, dtype=np.int64)


def next_edge(at_us: int, grain: Grain, zone: tzinfo = UTC) -> int:
    """Return where the step ends that begins at `at_us`; a day has 23 to 25 hours."""
    return at_us + US_PER_HOUR if grain is not DAY else day_of(at_us + 36 * US_PER_HOUR, zone)


def nominal_us(grain: Grain) -> int:
    """Return how long a step of this grain is, where clocks do not change."""
    return US_PER_DAY // grain.per_day


def find_series(rows: pl.DataFrame, edges: Integers, grain: Grain, *, by: str, metric: str, zone: str) -> list[Series]:
    """Return a series for each group, in the order of names, over the steps between `edges`.

    Raises AnalysisError on an unknown metric, on rows that are no series, and on two rows of one group and step.
    """
    choose("metric", metric, METRICS)
    require(rows.lazy(), COLUMNS)
    if rows.select("at_us", "key").is_duplicated().any():
        raise AnalysisError("a group has two rows for one step", hint="ask for one period at a time")
    steps = pl.DataFrame({"at_us": edges[:-1], "step": np.arange(len(edges) - 1), "length_us": np.diff(edges)})
    placed = rows.join(steps, on="at_us", how="inner").with_columns(_VALUES[metric]().alias("value"))
    watched = _watched(placed, len(steps))
    series = []
    for (key,), own in sorted(placed.group_by("key")):
        if not key and by not in BY_DEVICE and not own["held_part_us"].sum():
            continue
        values = np.zeros(len(steps))
        values[own["step"].to_numpy()] = own["value"].to_numpy() * nominal_us(grain) / own["length_us"].to_numpy()
        known = _watched(own, len(steps)) if by in BY_DEVICE else watched.copy()
        if metric == "cost":
            known[own.filter(pl.col("unpriced_part_us") > 0)["step"].to_numpy()] = False
        if metric == "arrivals":
            known[:1] = False
        name = str(key) or (UNKNOWN if by in BY_DEVICE else UNATTRIBUTED)
        series.append(Series(name, grain, zone, edges, np.where(known, values, np.nan)))
    return series


def _watched(placed: pl.DataFrame, steps: int) -> Flags:
    """Return which steps are there and were watched well enough."""
    sums = placed.group_by("step").agg(pl.col("part_us", "unobserved_part_us").cast(pl.Float64).sum())
    enough = sums.filter(pl.col("unobserved_part_us") <= MOST_UNOBSERVED * pl.col("part_us"))
    watched = np.zeros(steps, dtype=np.bool_)
    watched[enough["step"].to_numpy()] = True
    return watched

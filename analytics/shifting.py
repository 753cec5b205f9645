"""What moving batch work in time would have saved in carbon: a range, with what it assumes.

Pure, over lines of `/v1/bill`. Looking back, intensities are known; only later hours within `days` days are considered.

- **high**: each hour of a run goes to the cleanest hour that follows it. Runs can be paused, and there is always room.
- **low**: a run is delayed as a whole, to hours in which as much of the same kind of GPU was free as it held; runs that
  would save the most choose first. Its energy is what it was.

Nothing is claimed where an intensity is one number: that is a constant of a price entry, or an hour that stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from analytics.batch_work import COLUMNS, is_batch
from analytics.energy import micrograms
from analytics.line_groups import IS_HELD, PART, choose, columns_of, key_of, kind_of, part_us, require
from analytics.windows import BY_HOLDER
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import State

MAX_DAYS: Final = 31
_TYPE: Final = ("cluster", "pool", "model", "mig_profile")
_RUN: Final = ("kind", "key", *_TYPE, "holder")
READ: Final = ("hour_us", "state", "reason", "parts", "held_us", "energy_mj", "carbon_g_per_kwh", "holder", *_TYPE)
MEASURES: Final = ("energy_mj", "movable_mj", "carbon_ug_mj", "low_ug_mj", "high_ug_mj")
SCHEMA: Final = pl.Schema({"kind": pl.String(), "key": pl.String(), **dict.fromkeys(MEASURES, PART)})
Lines = pl.DataFrame | pl.LazyFrame


class _Run(NamedTuple):
    """One holder's work on one kind of GPU, hour by hour; hours count from the first of the period."""

    group: tuple[str, str]
    hours: list[int]
    energy_mj: list[int]
    part_us: list[int]


class _Grid(NamedTuple):
    """A kind of GPU hour by hour: what its grid emitted (micrograms, -1: not known), and what of it was free."""

    ug: list[int]
    free_part_us: list[int]


def shifting(pages: Iterable[Lines], days: int = 1, by: str = "team") -> pl.DataFrame:
    """Return a row for each group of `by` that ran batch work.

    `energy_mj` is all of it, `movable_mj` what has intensities to choose from, `carbon_ug_mj` what that emitted, and
    `low_ug_mj` to `high_ug_mj` what of it moving would have saved. Raises AnalysisError on days that are none, on a
    dimension of devices, and on lines that are no bill.
    """
    if not 1 <= days <= MAX_DAYS:
        raise AnalysisError(f"{days} days are not possible", hint=f"give 1 to {MAX_DAYS}")
    choose("by", by, BY_HOLDER)
    work, hours = _read(pages, by)
    if work.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    first_us: int = min(hours["hour_us"].to_list())
    grids = _grids(hours, first_us)
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for kind, runs in _runs(work, first_us).items():
        for run, saved in _saved(runs, grids[kind], 24 * days):
            mine = sums.setdefault(run.group, dict.fromkeys(MEASURES, 0))
            for name, amount in saved.items():
                mine[name] += amount
    rows: list[dict[str, Any]] = [{"kind": kind, "key": key, **found} for (kind, key), found in sums.items()]
    ordered = sorted(rows, key=lambda row: (-row["high_ug_mj"], -row["energy_mj"], row["kind"], row["key"]))
    return pl.DataFrame(ordered, schema=SCHEMA)


def _read(pages: Iterable[Lines], by: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return batch work by run and hour, and what is known of each kind of GPU by hour."""
    work, hours = [], []
    free = (pl.col("state") == int(State.IDLE)) & (pl.col("reason") == "free")
    for page in pages:
        lazy = page.lazy()
        require(lazy, (*READ, *COLUMNS, *columns_of(by)))
        named = lazy.with_columns(kind_of(by), key_of(by), part_us("held_us").alias("time"), micrograms().alias("ug"))
        work.append(
            named.filter(IS_HELD & is_batch())
            .group_by(*_RUN, "hour_us")
            .agg(pl.col("energy_mj").fill_null(0).cast(PART).sum(), pl.col("time").sum())
            .collect(engine="streaming")
        )
        hours.append(
            named.group_by(*_TYPE, "hour_us")
            .agg(pl.col("ug").max(), pl.col("time").filter(free).sum().alias("free"))
            .collect(engine="streaming")
        )
    if not work:
        return pl.DataFrame(), pl.DataFrame()
    return (
        pl.concat(work).group_by(*_RUN, "hour_us").agg(pl.col("energy_mj").sum(), pl.col("time").sum()),
        pl.concat(hours).group_by(*_TYPE, "hour_us").agg(pl.col("ug").max(), pl.col("free").sum()),
    )


def _grids(hours: pl.DataFrame, first_us: int) -> dict[tuple[Any, ...], _Grid]:
    count: int = (max(hours["hour_us"].to_list()) - first_us) // US_PER_HOUR + 1
    found: dict[tuple[Any, ...], _Grid] = {}
    for row in hours.iter_rows(named=True):
        grid = found.setdefault(tuple(row[name] for name in _TYPE), _Grid([-1] * count, [0] * count))
        at = (row["hour_us"] - first_us) // US_PER_HOUR
        grid.ug[at] = -1 if row["ug"] is None else row["ug"]
        grid.free_part_us[at] = row["free"]
    return found


def _runs(work: pl.DataFrame, first_us: int) -> dict[tuple[Any, ...], list[_Run]]:
    """Return the runs on each kind of GPU, in an order of their own."""
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], _Run]] = {}
    for row in work.sort(*_RUN, "hour_us").iter_rows(named=True):
        kind = tuple(row[name] for name in _TYPE)
        runs = found.setdefault(kind, {})
        run = runs.setdefault((row["key"], row["holder"]), _Run((row["kind"], row["key"]), [], [], []))
        run.hours.append((row["hour_us"] - first_us) // US_PER_HOUR)
        run.energy_mj.append(row["energy_mj"])
        run.part_us.append(row["time"])
    return {kind: list(runs.values()) for kind, runs in found.items()}


def _saved(runs: list[_Run], grid: _Grid, within: int) -> Iterable[tuple[_Run, Mapping[str, int]]]:
    """Yield what each run emitted and would have saved; the one that could save the most is moved first."""
    varies = len({ug for ug in grid.ug if ug >= 0}) > 1
    cleanest = _cleanest(grid.ug, within)
    chances = []
    for run in runs:
        known = [at for at, hour in enumerate(run.hours) if varies and grid.ug[hour] >= 0]
        facts = {
            "energy_mj": sum(run.energy_mj),
            "movable_mj": sum(run.energy_mj[at] for at in known),
            "carbon_ug_mj": sum(run.energy_mj[at] * grid.ug[run.hours[at]] for at in known),
            "high_ug_mj": sum(run.energy_mj[at] * (grid.ug[run.hours[at]] - cleanest[run.hours[at]]) for at in known),
        }
        whole = len(known) == len(run.hours)
        chances.append((run, facts, _delays(run, grid, within) if whole else []))
    free = list(grid.free_part_us)
    for run, facts, delays in sorted(chances, key=lambda chance: -(chance[2][0][0] if chance[2] else 0)):
        yield run, {**facts, "low_ug_mj": next((saved for saved, by in delays if _move(run, by, free)), 0)}


def _cleanest(ug: list[int], within: int) -> list[int]:
    """Return the least intensity that is known from each hour to `within` hours later."""
    padded = np.array(
        [each if each >= 0 else np.iinfo(np.int64).max for each in ug] + [np.iinfo(np.int64).max] * within
    )
    return [int(each) for each in np.lib.stride_tricks.sliding_window_view(padded, within + 1).min(axis=1)]


def _delays(run: _Run, grid: _Grid, within: int) -> list[tuple[int, int]]:
    """Return the delays in hours that would save something, with what they save, the best first."""
    now = sum(energy * grid.ug[hour] for hour, energy in zip(run.hours, run.energy_mj, strict=True))
    last = min(within, len(grid.ug) - 1 - run.hours[-1])
    found = []
    for by in range(1, last + 1):
        there = [grid.ug[hour + by] for hour in run.hours]
        saved = now - sum(energy * ug for energy, ug in zip(run.energy_mj, there, strict=True))
        if saved > 0 and min(there) >= 0:
            found.append((saved, by))
    return sorted(found, key=lambda delay: (-delay[0], delay[1]))


def _move(run: _Run, by: int, free: list[int]) -> bool:
    """Take what a run needs where it would go, if that is free there or its own; return whether it is."""
    own = dict(zip(run.hours, run.part_us, strict=True))
    needs = {hour + by: part_us - own.get(hour + by, 0) for hour, part_us in own.items()}
    if any(need > free[hour] for hour, need in needs.items()):
        return False
    for hour, need in needs.items():
        free[hour] -= max(0, need)
    return True

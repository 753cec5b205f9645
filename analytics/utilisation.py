"""Utilisation from bill lines: capacity, held, active, idle, unavailable and unobserved time by any group and grain.

Pure. Lines are those of `/v1/bill`, eager or lazy. Times are exact integers, microseconds x parts of a GPU (840 are one
whole). Time that nobody observed is a column of its own and never counted as idle; a ratio without a whole is null.
"Active" means that a kernel ran, which is all that most drivers tell: it is not how much of the GPU the kernel used.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.line_groups import IS_HELD, PART, choose, columns_of, key_of, kind_of, part_us, require
from analytics.line_sums import summed
from analytics.windows import BY_DEVICE
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.model import State
from gpuledger.zones import find_zone

GRAINS: Final = ("total", "hour", "day", "month")
TIMES: Final = (
    "capacity_part_us", "held_part_us", "active_part_us", "watched_part_us", "held_idle_part_us", "idle_part_us",
    "unavailable_part_us", "unobserved_part_us",
)  # fmt: skip
_READ: Final = ("hour_us", "state", "parts", "held_us", "active_us", "active_unknown_us")
_EVERY: Final = {"hour": "1h", "day": "1d", "month": "1mo"}
_AT: Final = pl.Datetime("us", "UTC")
Lines = pl.DataFrame | pl.LazyFrame


def utilisation(lines: Lines, by: str = "team", grain: str = "total", zone: str = "UTC") -> pl.DataFrame:
    """Return one row for each step of `grain` (in the days of `zone`) and group of `by`, groups as `/v1/utilization`.

    `capacity_part_us` is the group's own time by a property of devices, else the time of all devices in that step.
    `active_of_held` is active over the held time that was watched; `held_of_capacity` held over capacity. `at` is when
    the step begins, null for `total`. Lines that are lazy are streamed. Raises AnalysisError on an unknown dimension or
    grain, or on what is no bill.
    """
    choose("grain", grain, GRAINS)
    at = _local(zone)
    step = {} if grain == "total" else {"at": at.dt.truncate(_EVERY[grain]).dt.convert_time_zone("UTC").cast(_AT)}
    read = _read(lines, columns_of(by), step)
    steps = read if step else read.with_columns(pl.lit(None, dtype=_AT).alias("at"))
    found = steps.with_columns(kind_of(by), key_of(by)).group_by("at", "kind", "key").agg(*_sums())
    if by not in BY_DEVICE:
        found = found.with_columns(pl.col("capacity_part_us").sum().over("at"))
    shown = found.select("at", "kind", "key", *TIMES, *_ratios())
    return shown.sort(["at", "kind", "held_part_us", "key"], descending=[False, False, True, False])


def heat_map(lines: Lines, by: str = "", zone: str = "UTC") -> pl.DataFrame:
    """Return the week of each group of `by` (a property of devices; none: the fleet), hour by hour in `zone`.

    168 rows a group: `weekday` (1 is Monday), `hour`, times and ratios. `held_of_observed` is of the time that
    was observed; where none was, it is null: not known is not idle. Raises AnalysisError on a dimension of holders.
    """
    if by:
        choose("by", by, BY_DEVICE)
    at = _local(zone)
    read = _read(lines, columns_of(by) if by else (), {"weekday": at.dt.weekday(), "hour": at.dt.hour()})
    cells = read.with_columns(key_of(by) if by else pl.lit("fleet").alias("key"))
    return whole_week(cells.group_by("key", "weekday", "hour").agg(*_sums()))


def whole_week(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the week of each group, as `heat_map`, from sums by `key`, `weekday` and `hour`: rows of `/v1/week`."""
    week = pl.DataFrame({"weekday": range(1, 8)}, schema={"weekday": pl.Int8}).join(
        pl.DataFrame({"hour": range(24)}, schema={"hour": pl.Int8}), how="cross"
    )
    every = cells.select("key").unique().join(week, how="cross")
    observed = pl.col("capacity_part_us") - pl.col("unobserved_part_us")
    full = every.join(cells, on=["key", "weekday", "hour"], how="left").with_columns(
        pl.col(name).fill_null(0) for name in TIMES
    )
    return full.select(
        "key", "weekday", "hour", *TIMES, *_ratios(), _ratio(pl.col("held_part_us"), observed, "held_of_observed")
    ).sort("key", "weekday", "hour")


def hours(column: str) -> pl.Expr:
    """Return GPU-hours of a time, for people: the integer stays what is counted with."""
    return (pl.col(column).cast(pl.Float64) / (GPU_PARTS * US_PER_HOUR)).alias(column.replace("_part_us", "_gpu_hours"))


def _read(lines: Lines, named: tuple[str, ...], step: dict[str, pl.Expr]) -> pl.DataFrame:
    """Return the sums of lines by what names them and by `step`, which is worked out once for each hour there is."""
    lazy = lines.lazy()
    require(lazy, (*_READ, *named))
    keys = list(dict.fromkeys(("state", "parts", *named)))
    read = lazy.select(list(dict.fromkeys((*_READ, *named))))
    if step:
        hours = read.select("hour_us").unique().collect(engine="streaming")
        read = read.join(hours.select("hour_us", **step).lazy(), on="hour_us")
    return summed(read, [*keys, *step], ("held_us", "active_us", "active_unknown_us"))


def _local(zone: str) -> pl.Expr:
    return pl.from_epoch("hour_us", time_unit="us").dt.replace_time_zone("UTC").dt.convert_time_zone(_zone(zone))


def _zone(name: str) -> str:
    find_zone(name)  # raises where there is none, in our own words
    return name


def _sums() -> list[pl.Expr]:
    time, active, unknown = part_us("held_us"), part_us("active_us"), part_us("active_unknown_us")
    zero = pl.lit(0, dtype=PART)
    by_state = {
        "held_idle": State.HELD_IDLE,
        "idle": State.IDLE,
        "unavailable": State.UNAVAILABLE,
        "unobserved": State.UNOBSERVED,
    }
    of_held = {"held": time, "active": active, "watched": time - unknown}
    return [
        time.sum().alias("capacity_part_us"),
        *(pl.when(IS_HELD).then(each).otherwise(zero).sum().alias(f"{name}_part_us") for name, each in of_held.items()),
        *(
            pl.when(pl.col("state") == int(state)).then(time).otherwise(zero).sum().alias(f"{name}_part_us")
            for name, state in by_state.items()
        ),
    ]


def _ratios() -> list[pl.Expr]:
    return [
        _ratio(pl.col("active_part_us"), pl.col("watched_part_us"), "active_of_held"),
        _ratio(pl.col("held_part_us"), pl.col("capacity_part_us"), "held_of_capacity"),
    ]


def _ratio(part: pl.Expr, whole: pl.Expr, name: str) -> pl.Expr:
    return pl.when(whole > 0).then(part.cast(pl.Float64) / whole.cast(pl.Float64)).alias(name)

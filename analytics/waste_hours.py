"""Unbroken stretches of hours in which a device did nothing for its holder, and where each began. Pure."""

from __future__ import annotations

from typing import Final

import polars as pl

from gpuledger.accounting.units import US_PER_HOUR

STRETCH: Final = ("cluster", "node", "device", "holder")
HOUR: Final = (*STRETCH, "hour_us")


def idle_hours(lines: pl.LazyFrame, wasted: pl.LazyFrame) -> pl.DataFrame:
    """Return the hours that have waste and no work, with `began_us`, where the unbroken stretch of each began.

    `wasted` are the lines of `lines` that are waste. Only idle hours are kept in memory, and neither frame is: an hour
    of work is looked up among them as it streams by.
    """
    idle = wasted.select(HOUR).unique().collect(engine="streaming")
    worked = (
        lines.filter(pl.col("active_us") > 0)
        .select(HOUR)
        .join(idle.lazy(), on=HOUR, how="semi", nulls_equal=True)
        .unique()
        .collect(engine="streaming")
    )
    still = idle.join(worked, on=HOUR, how="anti", nulls_equal=True).sort(HOUR)
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in STRETCH)
    broken = other | (pl.col("hour_us").diff() != US_PER_HOUR)
    numbered = still.with_columns(broken.fill_null(value=True).cum_sum().alias("stretch"))
    return numbered.select(*HOUR, pl.col("hour_us").min().over("stretch").alias("began_us"))

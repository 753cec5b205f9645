"""Splitting: the hour of a device is the origin charge, and each line of that hour is what one use of it is allocated.

Quantities and ratios have twelve decimals. A line gets what the running total, rounded, grows by with it: so the lines
of an origin sum to the origin exactly, and each is less than one unit of the twelfth decimal away from its own value.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.reports.exact import money_text, scaled, wide
from gpuledger.accounting import rating
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

PLACES: Final = 12
METHOD: Final = f"gpuledger/{rating.METHOD}"
_ORIGIN: Final = "x_SplitOriginId"


def with_shares(lines: pl.DataFrame) -> pl.DataFrame:
    """Return bill lines (in their order) with the origin that each is split from, and its exact share of it.

    A correction is an origin of its own: it changes a charge that another file already split. Added are
    `x_SplitOriginId`, `x_SplitOriginCost`, and, as whole units of the twelfth decimal: `hours` (of the device),
    `part_hours` (of whole GPUs) and `ratio` (of the origin).
    """
    known = lines.with_row_index("row").with_columns(_origin_id().alias(_ORIGIN))
    summed = known.with_columns(
        wide("held_us").cum_sum().over(_ORIGIN).alias("running_us"),
        wide("held_us").sum().over(_ORIGIN).alias("whole_us"),
        pl.int_range(pl.len()).over(_ORIGIN).alias("place"),
        money_text(wide("cost_quanta").sum().over(_ORIGIN)).alias("x_SplitOriginCost"),
    )
    running = summed.with_columns(
        scaled(pl.col("running_us"), US_PER_HOUR, PLACES).alias("hours"),
        scaled(pl.col("running_us") * wide("parts"), US_PER_HOUR * GPU_PARTS, PLACES).alias("part_hours"),
        _running_ratio().alias("ratio"),
    )
    return running.with_columns(*map(_growth, ("hours", "part_hours", "ratio")))


def method_details(ratio: pl.Expr, hours: pl.Expr, unit: pl.Expr) -> pl.Expr:
    """Return AllocatedMethodDetails (JSON) from the text of its figures."""
    return pl.concat_str(
        pl.lit('{"Elements":[{"AllocatedRatio":'),
        ratio,
        pl.lit(',"UsageUnit":"'),
        unit,
        pl.lit('","UsageQuantity":'),
        hours,
        pl.lit("}]}"),
    )


def with_ends(lines: pl.DataFrame) -> pl.DataFrame:
    """Add `end_us`: the end of each line's hour, or where a price turned in it of its segment."""
    segment = ["period_id", "hour_us", "device_id", "offset_us"]
    within = ["period_id", "hour_us", "device_id"]
    following = pl.col("offset_us").shift(-1).over(within, order_by="offset_us").fill_null(US_PER_HOUR)
    ends = lines.select(segment).unique().with_columns((pl.col("hour_us") + following).alias("end_us"))
    return lines.join(ends, on=segment, how="left", maintain_order="left", nulls_equal=True)


def _origin_id() -> pl.Expr:
    hour = pl.from_epoch("hour_us", "us").dt.strftime("%FT%HZ")
    turned = pl.when(pl.col("offset_us") == 0).then(pl.lit("")).otherwise(pl.format("+{}us", "offset_us"))
    # holders may have prices of their own: what is split is the time at one price
    prices = pl.col("price_entry").n_unique().over("period_id", "hour_us", "device_id", "offset_us")
    priced = (
        pl.when(prices == 1)
        .then(pl.lit(""))
        .otherwise(pl.format("/entry {}", pl.col("price_entry").cast(pl.String).fill_null("none")))
    )
    place = pl.format("{}/{}/{}@{}{}{}", "cluster", "device", "device_id", hour, turned, priced)
    correction = pl.format("correction/{}/{}/{}", "period_id", "row", place)
    return pl.when(pl.col("period_id").is_null()).then(place).otherwise(correction)


def _running_ratio() -> pl.Expr:
    """Return the share of the origin up to a line; where nothing was held at all, the first line is all of it."""
    whole = pl.col("whole_us").abs()
    ratio = scaled(pl.col("running_us").abs(), pl.when(whole > 0).then(whole).otherwise(1), PLACES)
    return pl.when(whole > 0).then(ratio).otherwise(pl.lit(10**PLACES).cast(pl.Int128))


def _growth(name: str) -> pl.Expr:
    return (pl.col(name) - pl.col(name).shift(1).over(_ORIGIN).fill_null(0)).alias(name)

"""Energy and carbon: what each group's boards took, what that emitted, and what it took to do an hour of work.

Pure, over lines of `/v1/bill`. Energy is measured at the board, in millijoules; carbon is each hour's energy times the
intensity of its grid, in micrograms x millijoules for a kilowatt-hour: both are exact integers, those of
`/v1/chargeback`. What is not metered, or has no intensity, is counted apart and never zero. Energy of boards that
nobody held is in the rows of idle time by owners, and in a column of its own by devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import polars as pl

from analytics.line_groups import IS_HELD, PART, columns_of, key_of, kind_of, part_us, require
from analytics.line_sums import summed
from gpuledger.accounting.units import GPU_PARTS, MJ_PER_KWH, US_PER_HOUR
from gpuledger.model import State

GRAM: Final = 1_000_000  # micrograms
MEASURES: Final = (
    "part_us", "metered_part_us", "energy_mj", "idle_energy_mj", "carbon_ug_mj", "carbon_unknown_mj", "active_part_us",
    "useful_part_us", "useful_energy_mj",
)  # fmt: skip
SCHEMA: Final = pl.Schema({"kind": pl.String(), "key": pl.String(), **dict.fromkeys(MEASURES, PART)})
READ: Final = (
    "state", "parts", "held_us", "active_us", "active_unknown_us", "energy_mj", "energy_unknown_us", "carbon_g_per_kwh",
)  # fmt: skip
Lines = pl.DataFrame | pl.LazyFrame


def energy(pages: Iterable[Lines], by: str = "team") -> pl.DataFrame:
    """Return the sums of each group of `by` over pages of bill lines, the most energy first.

    `useful_energy_mj` and `useful_part_us` are the energy and the active time of held lines of which both are known
    whole: their ratio is what an hour of work took, the holder's idle time included. Raises AnalysisError on an
    unknown dimension or what is no bill.
    """
    sums = [_sums(page.lazy(), by) for page in pages]
    if not sums:
        return pl.DataFrame(schema=SCHEMA)
    found = pl.concat(sums).group_by("kind", "key").agg(pl.col(name).sum() for name in MEASURES)
    return found.select(SCHEMA.names()).sort(["energy_mj", "kind", "key"], descending=[True, False, False])


def kilograms(carbon_ug_mj: int) -> Decimal:
    """Return kilograms of carbon dioxide equivalent."""
    return Decimal(carbon_ug_mj) / GRAM / MJ_PER_KWH / 1000


def useful_watt_hours() -> pl.Expr:
    """Return what an hour of a GPU at work took, for people: the integers stay what is counted with."""
    energy_wh = pl.col("useful_energy_mj").cast(pl.Float64) / (MJ_PER_KWH / 1000)
    hours = pl.col("useful_part_us").cast(pl.Float64) / (GPU_PARTS * US_PER_HOUR)
    return pl.when(hours > 0).then(energy_wh / hours).alias("wh_per_active_gpu_hour")


def micrograms() -> pl.Expr:
    """Return the intensity of a line's hour in micrograms for a kilowatt-hour; null where none is known."""
    return (pl.col("carbon_g_per_kwh").cast(pl.Decimal(38, 6)) * GRAM).cast(PART)


def _sums(lines: pl.LazyFrame, by: str) -> pl.DataFrame:
    named = columns_of(by)
    require(lines, (*READ, *named))
    whole = (pl.col("energy_unknown_us") == 0) & (pl.col("active_unknown_us") == 0)
    keys = dict.fromkeys(("state", "parts", "carbon_g_per_kwh", *named))
    groups = summed(lines, [*keys, whole.alias("whole")], ("held_us", "active_us", "energy_mj", "energy_unknown_us"))
    power, zero, useful = pl.col("energy_mj"), pl.lit(0, dtype=PART), IS_HELD & pl.col("whole")
    intensity = pl.col("carbon_g_per_kwh")
    measures = {
        "part_us": part_us("held_us"),
        "metered_part_us": part_us("held_us") - part_us("energy_unknown_us"),
        "energy_mj": power,
        "idle_energy_mj": pl.when(pl.col("state") == int(State.IDLE)).then(power).otherwise(zero),
        "carbon_ug_mj": power * micrograms().fill_null(0),
        "carbon_unknown_mj": pl.when(intensity.is_null()).then(power).otherwise(zero),
        "active_part_us": part_us("active_us"),
        "useful_part_us": pl.when(useful).then(part_us("active_us")).otherwise(zero),
        "useful_energy_mj": pl.when(useful).then(power).otherwise(zero),
    }
    shown = groups.with_columns(kind_of(by), key_of(by), *(each.alias(f"_{name}") for name, each in measures.items()))
    return shown.group_by("kind", "key").agg(pl.col(f"_{name}").sum().alias(name) for name in measures)

"""Over-asked: work that fewer GPUs, a smaller MIG profile or a cheaper model would do, and what that would save.

Pure, over the rows and kinds of `/v1/holdings`. The rule is one for all three. What is left of a device must hold the
most memory that was ever in use, with a fifth to spare, and the activity of the 95th of 100 hours, with a fifth to
spare. Activity is the time in which any kernel ran, so it is an upper bound of what the work needs, and advice that
holds for it holds for less. Nothing is advised where a part of the memory or of the activity is not known, on devices
that holders share, on less than six hours, or without a price. Money is whole quanta and counts time at work alone:
what was held idle is waste of its own, and no cost is in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from analytics.line_groups import PART
from analytics.waste import SCHEMA
from analytics.waste_evidence import MOST_EVIDENCE, charge_name
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import State

OVER_ASKED: Final = "over_asked"
FEWER: Final = "fewer_gpus"
SMALLER: Final = "smaller_profile"
CHEAPER: Final = "cheaper_model"
FULL_PPM: Final = 800_000  # of what is left, memory and activity may take so much
LEAST_US: Final = 6 * US_PER_HOUR  # held by a device, to say what its holder needs
ADVISED: Final = pl.Schema({**SCHEMA, "instead": pl.String()})
HOLDINGS: Final = pl.Schema(
    {
        **dict.fromkeys(("cluster", "node", "device", "model", "mig_profile", "holder", "user_name"), pl.String()),
        **dict.fromkeys(("workload", "team"), pl.String()),
        **dict.fromkeys(("parts", "memory_bytes", "held_us", "active_unknown_us", "memory_unknown_us"), pl.Int64()),
        **dict.fromkeys(("memory_max_bytes", "memory_hour_us", "memory_offset_us"), pl.Int64()),
        **dict.fromkeys(("active_p95_ppm", "active_max_ppm", "active_hour_us", "active_offset_us"), pl.Int64()),
        **dict.fromkeys(("worked_us", "cost_quanta"), pl.Int64()),
        "alone": pl.Boolean(),
    }
)
KINDS: Final = pl.Schema(
    {
        **dict.fromkeys(("cluster", "model", "mig_profile"), pl.String()),
        **dict.fromkeys(("parts", "memory_bytes", "devices", "rate_quanta"), pl.Int64()),
    }
)
_KIND: Final = ("cluster", "model", "mig_profile", "parts")
_HOLDER: Final = (*_KIND, "holder", "workload", "team", "user_name")
_OPTION: Final = (*_HOLDER, "reason", "instead", "devices", "part_us", "low_quanta", "high_quanta", "evidence")
_PPM: Final = 1_000_000
Rows = Iterable[Mapping[str, Any]]


def over_asked(holdings: Rows, kinds: Rows) -> pl.DataFrame:
    """Return advice as rows of waste (and `instead`: what would do), the largest saving first; one for each holder.

    `high_quanta` is what the advice saves if it holds in 95 of 100 hours; `low_quanta` the same if it holds in all of
    them, else 0. A cheaper model is taken to be slower by as much as it is cheaper, a smaller profile by its share of
    the GPU. Alternatives are those that the cluster has. Raises AnalysisError on rows that are no holdings.
    """
    known, choice = _frame(holdings, HOLDINGS), _frame(kinds, KINDS)
    needs = _needs(known)
    options = pl.concat([_fewer(needs), _other_kinds(needs, choice)])
    best = (
        options.filter(pl.col("high_quanta") > 0)
        .sort("high_quanta", "low_quanta", "instead", descending=[True, True, False])
        .unique(subset=_HOLDER, keep="first", maintain_order=True)
    )
    rows = best.group_by("reason", "instead", "workload", "team", pl.col("user_name").alias("user")).agg(
        pl.struct("cluster", "holder").n_unique().alias("holders"),
        pl.col("devices").sum(),
        pl.col("part_us", "low_quanta", "high_quanta").sum(),
        pl.col("evidence").explode().unique().sort().head(MOST_EVIDENCE),
    )
    told = rows.with_columns(
        kind=pl.lit(OVER_ASKED),
        node=pl.lit(""),
        unpriced_part_us=pl.lit(0, dtype=PART),
        energy_mj=pl.lit(0, dtype=PART),
    )
    return _ranked(told.select(pl.col(name).cast(kind) for name, kind in ADVISED.items()))


def with_advice(waste: pl.DataFrame, advice: pl.DataFrame) -> pl.DataFrame:
    """Return both in one list, the dearest first; `instead` is empty for what was simply wasted."""
    return _ranked(pl.concat([waste.with_columns(instead=pl.lit("")).select(ADVISED.names()), advice]))


def _ranked(rows: pl.DataFrame) -> pl.DataFrame:
    names = ("kind", "reason", "workload", "team", "user", "node", "instead")
    order = ["high_quanta", "part_us", *names]
    return rows.sort(order, descending=[True, True, *[False] * len(names)], nulls_last=True)


def _frame(rows: Rows, schema: pl.Schema) -> pl.DataFrame:
    found = list(rows)
    missing = [name for name in schema if found and name not in found[0]]
    if missing:
        raise AnalysisError(f"these are no holdings: {', '.join(missing)} missing", hint="read them from /v1/holdings")
    return pl.DataFrame(found, schema=schema)


def _needs(holdings: pl.DataFrame) -> pl.DataFrame:
    """Return what each holder needs of its devices of one kind, where all of it is known."""
    told = pl.all_horizontal(
        pl.col("active_unknown_us") == 0,
        pl.col("memory_unknown_us") == 0,
        pl.col("held_us") >= LEAST_US,
        "alone",
        *(pl.col(name).is_not_null() for name in ("memory_bytes", "memory_max_bytes", "cost_quanta")),
    )
    memory, active = pl.col("memory_max_bytes"), [pl.col("active_p95_ppm"), pl.col("active_max_ppm")]
    highest = [
        _charge(which).sort_by(by, "device", descending=[True, False]).first()
        for which, by in (("memory", "memory_max_bytes"), ("active", "active_max_ppm"))
    ]
    return (
        holdings.group_by(_HOLDER)
        .agg(
            told.all().alias("told"),
            pl.len().cast(pl.Int64).alias("devices"),
            (pl.col("worked_us").cast(PART) * pl.col("parts")).sum().alias("part_us"),
            pl.col("cost_quanta").cast(PART).sum().alias("cost"),
            pl.col("memory_bytes").min(),
            memory.max().alias("memory_most"),
            memory.sum().alias("memory_all"),
            *(each.max().name.suffix("_most") for each in active),
            *(each.sum().name.suffix("_all") for each in active),
            *(each.alias(f"charge_{at}") for at, each in enumerate(highest)),
        )
        .filter("told")
        .with_columns(pl.concat_list("charge_0", "charge_1").list.drop_nulls().alias("evidence"))
    )


def _fewer(needs: pl.DataFrame) -> pl.DataFrame:
    """Return how few devices would hold all memory and do all work of a holder of several."""
    by_memory = _at_least(pl.col("memory_all"), pl.col("memory_bytes"))
    counts = needs.filter(pl.col("devices") > 1).with_columns(
        pl.max_horizontal(by_memory, _at_least(pl.col(f"active_{which}_ppm_all"), pl.lit(_PPM)), 1).alias(which)
        for which in ("p95", "max")
    )
    saved = [
        (pl.col("cost") * (pl.col("devices") - pl.col(which)).clip(0) // pl.col("devices")).alias(name)
        for which, name in (("p95", "high_quanta"), ("max", "low_quanta"))
    ]
    instead = pl.format("{} instead of {}", "p95", "devices").alias("instead")
    return counts.with_columns(pl.lit(FEWER).alias("reason"), instead, *saved).select(_OPTION)


def _other_kinds(needs: pl.DataFrame, kinds: pl.DataFrame) -> pl.DataFrame:
    """Return each cheaper kind of device that would do: smaller slices of the same model, or whole GPUs of another."""
    own = kinds.select(*_KIND, pl.col("rate_quanta").alias("own_rate"))
    others = kinds.select(
        "cluster",
        pl.col("model").alias("other"),
        pl.col("mig_profile").alias("profile"),
        pl.col("parts").alias("other_parts"),
        pl.col("memory_bytes").alias("other_memory"),
        "rate_quanta",
    )
    smaller = (pl.col("other") == pl.col("model")) & (pl.col("other_parts") < pl.col("parts"))
    cheaper = (pl.col("other") != pl.col("model")) & (pl.col("profile") == "") & (pl.col("mig_profile") == "")
    rate, own_rate = pl.col("rate_quanta").cast(PART), pl.col("own_rate").cast(PART)
    part, whole = (
        pl.when(smaller).then(pl.col(slice_)).otherwise(pl.col(price)).cast(PART)
        for slice_, price in (("other_parts", "rate_quanta"), ("parts", "own_rate"))
    )
    pairs = (
        needs.join(own, on=_KIND)
        .join(others, on="cluster")
        .filter(
            (smaller | cheaper)
            & (pl.col("rate_quanta") < pl.col("own_rate"))
            & (pl.col("memory_most").cast(PART) * _PPM <= pl.col("other_memory").cast(PART) * FULL_PPM)
        )
    )
    saved = pl.col("cost") * (own_rate - rate) // own_rate
    fits = {
        which: pl.col(f"active_{which}_ppm_most").cast(PART) * _PPM * whole <= part * FULL_PPM * _PPM
        for which in ("p95", "max")
    }
    name = pl.when(smaller).then("profile").otherwise("other")
    return pairs.with_columns(
        pl.when(smaller).then(pl.lit(SMALLER)).otherwise(pl.lit(CHEAPER)).alias("reason"),
        name.alias("instead"),
        pl.when(fits["p95"]).then(saved).otherwise(0).alias("high_quanta"),
        pl.when(fits["max"]).then(saved).otherwise(0).alias("low_quanta"),
    ).select(_OPTION)


def _at_least(needed: pl.Expr, of_one: pl.Expr) -> pl.Expr:
    """Return how many devices have room for `needed`, where each may be filled to FULL_PPM."""
    room = of_one.cast(PART) * FULL_PPM
    return (needed.cast(PART) * _PPM + room - 1) // room


def _charge(which: str) -> pl.Expr:
    """Return the name of the charge of time at work in the hour in which something was highest; null: there is none."""
    hour_us, offset_us = pl.col(f"{which}_hour_us"), pl.col(f"{which}_offset_us")
    return pl.when(offset_us.is_not_null()).then(
        charge_name(hour_us, offset_us, pl.lit(State.ACTIVE.label), pl.lit(""))
    )

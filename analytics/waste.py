"""Waste in money: what was held and idle, what MIG left over, what power idle boards took; ranked, with its evidence.

Pure, over lines of `/v1/bill`. Times are microseconds x parts of a GPU, money is whole quanta, energy millijoules, all
exact. A saving is a range: `high_quanta` is all that the wasted time cost; `low_quanta` leaves out hours in which the
device also worked for the holder and the first `grace_hours` of every unbroken stretch. Null: no price applies.
What a charge does not know is not guessed: the memory of a holder, so that no smaller GPU or profile is advised.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.line_groups import PART, part_us, require, workload
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.errors import AnalysisError
from gpuledger.model import State

GRACE_HOURS: Final = 2
MOST_EVIDENCE: Final = 3
HELD_IDLE: Final = "held_idle"
STRANDED: Final = "stranded"
NOT_KNOWN: Final = (
    "Charges hold no memory figures, so nothing here says that a smaller GPU or MIG profile would do;"
    " time that nobody observed is left out."
)
SCHEMA: Final = pl.Schema(
    {
        "kind": pl.String(),
        "reason": pl.String(),
        "workload": pl.String(),
        "team": pl.String(),
        "user": pl.String(),
        "node": pl.String(),
        "holders": pl.UInt32(),
        "devices": pl.UInt32(),
        "part_us": PART,
        "unpriced_part_us": PART,
        "low_quanta": PART,
        "high_quanta": PART,
        "energy_mj": PART,
        "evidence": pl.List(pl.String()),
    }
)
POWER_SCHEMA: Final = pl.Schema(
    {
        "node": pl.String(),
        "model": pl.String(),
        "part_us": PART,
        "energy_mj": PART,
        "energy_unknown_part_us": PART,
    }
)
READ: Final = (
    "hour_us", "offset_us", "cluster", "node", "device", "model", "parts", "holder", "user_name", "pod", "container",
    "slurm_job", "workload_id", "workload_name", "team", "state", "reason", "held_us", "active_us", "energy_mj",
    "energy_unknown_us", "cost_quanta",
)  # fmt: skip
_ROW: Final = ["kind", "reason", "workload", "team", "user", "node"]
_STRETCH: Final = ["cluster", "node", "device", "holder"]
Lines = pl.DataFrame | pl.LazyFrame


def waste(lines: Lines, grace_hours: int = GRACE_HOURS) -> pl.DataFrame:
    """Return held-idle time by workload, owner and reason, and what MIG left over by node, the dearest first.

    `node` is empty for what was held. `evidence` names up to three charges, the dearest, as `gpuledger explain` takes
    them. Raises AnalysisError on a grace below 0 and on lines that are no bill.
    """
    if grace_hours < 0:
        raise AnalysisError(f"a grace of {grace_hours} hours is not possible", hint="give 0 or more hours")
    lazy = lines.lazy()
    require(lazy, READ)
    read = lazy.select(READ).with_columns(_kind())
    wasted = _with_stretches(read).filter(pl.col("kind").is_not_null())
    in_grace = pl.col("worked") | (pl.col("hour_us") < pl.col("began_us") + grace_hours * US_PER_HOUR)
    cost, priced = pl.col("cost_quanta").cast(PART), pl.col("cost_quanta").is_not_null()
    held = pl.col("kind") == HELD_IDLE
    rows = (
        wasted.with_columns(
            pl.when(held).then(workload()).otherwise(pl.lit("")).alias("workload"),
            pl.when(held).then(pl.col("team").fill_null("")).otherwise(pl.lit("")).alias("team"),
            pl.when(held).then(pl.col("user_name").fill_null("")).otherwise(pl.lit("")).alias("user"),
            pl.when(held).then(pl.lit("")).otherwise("node").alias("node"),
            pl.when(pl.col("reason") == "").then(pl.lit("unknown")).otherwise("reason").alias("reason"),
            pl.col("node").alias("at_node"),
            part_us("held_us").alias("time"),
            _charge(),
        )
        .sort(pl.col("cost_quanta").fill_null(-1), pl.col("charge"), descending=[True, False])
        .group_by(_ROW, maintain_order=True)
        .agg(
            pl.struct("cluster", "holder").filter(pl.col("holder").is_not_null()).n_unique().alias("holders"),
            pl.struct("cluster", "at_node", "device").n_unique().alias("devices"),
            pl.col("time").sum().alias("part_us"),
            pl.col("time").filter(~priced).sum().alias("unpriced_part_us"),
            pl.when(priced.any()).then(cost.filter(~in_grace).fill_null(0).sum()).alias("low_quanta"),
            pl.when(priced.any()).then(cost.fill_null(0).sum()).alias("high_quanta"),
            pl.col("energy_mj").fill_null(0).cast(PART).sum().alias("energy_mj"),
            pl.col("charge").head(MOST_EVIDENCE).alias("evidence"),
        )
    )
    return (
        rows.collect()
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
        .sort(["high_quanta", "part_us", *_ROW], descending=[True, True, *[False] * len(_ROW)], nulls_last=True)
    )


def idle_power(lines: Lines) -> pl.DataFrame:
    """Return the energy that boards took while nobody held them, by node and model, the most first.

    `energy_unknown_part_us` is idle time without a reading. Energy has no price in the ledger, so there is no money.
    """
    lazy = lines.lazy()
    require(lazy, READ)
    found = (
        lazy.filter(pl.col("state") == int(State.IDLE))
        .group_by("node", "model")
        .agg(
            part_us("held_us").sum().alias("part_us"),
            pl.col("energy_mj").fill_null(0).cast(PART).sum().alias("energy_mj"),
            part_us("energy_unknown_us").sum().alias("energy_unknown_part_us"),
        )
        .collect()
    )
    return found.select(pl.col(name).cast(kind) for name, kind in POWER_SCHEMA.items()).sort(
        ["energy_mj", "node", "model"], descending=[True, False, False]
    )


def _kind() -> pl.Expr:
    stranded = (pl.col("state") == int(State.IDLE)) & (pl.col("reason") == "stranded")
    return (
        pl.when(pl.col("state") == int(State.HELD_IDLE))
        .then(pl.lit(HELD_IDLE))
        .when(stranded)
        .then(pl.lit(STRANDED))
        .alias("kind")
    )


def _with_stretches(read: pl.LazyFrame) -> pl.LazyFrame:
    """Add `worked` (the holder's device worked in this hour) and `began_us`, where its unbroken idle stretch began.

    Hours that follow each other and have waste but no work are one stretch.
    """
    every = read.group_by([*_STRETCH, "hour_us"]).agg(
        (pl.col("active_us").fill_null(0) > 0).any().alias("worked"), pl.col("kind").is_not_null().any().alias("idle")
    )
    idle = every.filter(pl.col("idle") & ~pl.col("worked")).sort([*_STRETCH, "hour_us"])
    follows = pl.col("hour_us").diff().over(_STRETCH) == US_PER_HOUR
    numbered = idle.with_columns((~follows.fill_null(False)).cum_sum().over(_STRETCH).alias("stretch"))
    began = numbered.with_columns(pl.col("hour_us").min().over([*_STRETCH, "stretch"]).alias("began_us"))
    return read.join(
        began.select(*_STRETCH, "hour_us", "began_us"), on=[*_STRETCH, "hour_us"], how="left", nulls_equal=True
    ).with_columns(pl.col("began_us").is_null().alias("worked"))


def _charge() -> pl.Expr:
    """Return the name of a line's charge, as `gpuledger explain` reads it."""
    at = pl.from_epoch(pl.col("hour_us") + pl.col("offset_us"), time_unit="us")
    fraction = pl.when(pl.col("offset_us") % US_PER_SECOND != 0).then(at.dt.strftime("%.6f")).otherwise(pl.lit(""))
    turned = pl.concat_str([at.dt.strftime("%Y-%m-%dT%H:%M:%S"), fraction, pl.lit("Z")])
    hour = pl.when(pl.col("offset_us") == 0).then(at.dt.strftime("%Y-%m-%dT%H")).otherwise(turned)
    state = pl.col("state").replace_strict({int(each): each.label for each in State}, return_dtype=pl.String)
    fields = (pl.col(name).fill_null("") for name in ("cluster", "node", "device", "holder"))
    escaped = (_escaped(field) for field in (*fields, state, pl.col("reason")))
    return pl.concat_str([hour, *escaped], separator="@").alias("charge")


def _escaped(field: pl.Expr) -> pl.Expr:
    return field.str.replace_all("%", "%25", literal=True).str.replace_all("@", "%40", literal=True)

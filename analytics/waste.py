"""Waste in money: what was held and idle, what MIG left over, what power idle boards took; ranked, with its evidence.

Pure, over lines of `/v1/bill`. Times are microseconds x parts of a GPU, money is whole quanta, energy millijoules, all
exact. A saving is a range: `high_quanta` is all that the wasted time cost; `low_quanta` leaves out hours in which the
device also worked for the holder and the first `grace_hours` of every unbroken stretch. Null: no price applies.
What a charge does not know is not guessed: what a holder needed is in `over_asked`, and who waited is not known at all.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from analytics.line_groups import PART, part_us, require, workload
from analytics.waste_evidence import dearest
from analytics.waste_hours import HOUR, STRETCH, idle_hours
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import State

GRACE_HOURS: Final = 2
HELD_IDLE: Final = "held_idle"
STRANDED: Final = "stranded"
NOT_KNOWN: Final = (
    "Time that nobody observed is left out. Whether anybody waited while GPUs were idle is not known: the ledger has no"
    " queues. Advice is given where all memory and activity of a holder is known."
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
_NAMES: Final = ("workload_name", "workload_id", "pod", "slurm_job", "container", "team", "user_name")
_HELD_IDLE: Final = pl.col("state") == int(State.HELD_IDLE)
_STRANDED: Final = (pl.col("state") == int(State.IDLE)) & (pl.col("reason") == "stranded")
Lines = pl.DataFrame | pl.LazyFrame


def waste(lines: Lines, grace_hours: int = GRACE_HOURS) -> pl.DataFrame:
    """Return held-idle time by workload, owner and reason, and what MIG left over by node, the dearest first.

    `node` is empty for what was held. `evidence` names up to three charges, the dearest, as `gpuledger explain` takes
    them. Lines that are lazy are streamed. Raises AnalysisError on a grace below 0 and on lines that are no bill.
    """
    if grace_hours < 0:
        raise AnalysisError(f"a grace of {grace_hours} hours is not possible", hint="give 0 or more hours")
    lazy = lines.lazy()
    require(lazy, READ)
    read = lazy.select(READ)
    wasted = read.filter(_HELD_IDLE | _STRANDED)
    named = wasted.with_columns(*_whose(), pl.col("node").alias("at_node"), pl.col("reason").alias("reason_as_is"))
    rows = _by_device(wasted, idle_hours(read, wasted), grace_hours).with_columns(
        *_whose(), pl.col("node").alias("at_node")
    )
    summed = rows.group_by(_ROW).agg(
        pl.struct("cluster", "holder").filter(pl.col("holder").is_not_null()).n_unique().alias("holders"),
        pl.struct("cluster", "at_node", "device").n_unique().alias("devices"),
        pl.col("part_us", "unpriced_part_us", "energy_mj").sum(),
        *(
            pl.when(pl.col("priced").any()).then(pl.col(name).sum()).alias(name)
            for name in ("low_quanta", "high_quanta")
        ),
    )
    found = summed.join(dearest(named, _ROW), on=_ROW, how="left")
    return found.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()).sort(
        ["high_quanta", "part_us", *_ROW], descending=[True, True, *[False] * len(_ROW)], nulls_last=True
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
        .collect(engine="streaming")
    )
    return found.select(pl.col(name).cast(kind) for name, kind in POWER_SCHEMA.items()).sort(
        ["energy_mj", "node", "model"], descending=[True, False, False]
    )


def _by_device(wasted: pl.LazyFrame, idle: pl.DataFrame, grace_hours: int) -> pl.DataFrame:
    """Return the sums of wasted lines for each holder, device, state and reason: far fewer than lines."""
    priced, time = pl.col("cost_quanta").is_not_null(), part_us("held_us")
    cost = pl.col("cost_quanta").cast(PART)
    beyond = pl.col("hour_us") >= pl.col("began_us") + grace_hours * US_PER_HOUR  # null, so not, in an hour with work
    return (
        wasted.join(idle.lazy(), on=HOUR, how="left", nulls_equal=True)
        .group_by("state", "reason", *_NAMES, *STRETCH)
        .agg(
            time.sum().alias("part_us"),
            time.filter(~priced).sum().alias("unpriced_part_us"),
            cost.filter(beyond).sum().alias("low_quanta"),
            cost.sum().alias("high_quanta"),
            priced.any().alias("priced"),
            pl.col("energy_mj").cast(PART).sum().alias("energy_mj"),
        )
        .collect(engine="streaming")
    )


def _whose() -> list[pl.Expr]:
    """Return what a row of waste is told apart by; a holder's waste is of no node, a node's of no holder."""
    none = pl.lit("")
    return [
        pl.when(_HELD_IDLE).then(pl.lit(HELD_IDLE)).otherwise(pl.lit(STRANDED)).alias("kind"),
        pl.when(pl.col("reason") == "").then(pl.lit("unknown")).otherwise("reason").alias("reason"),
        pl.when(_HELD_IDLE).then(workload()).otherwise(none).alias("workload"),
        pl.when(_HELD_IDLE).then(pl.col("team").fill_null("")).otherwise(none).alias("team"),
        pl.when(_HELD_IDLE).then(pl.col("user_name").fill_null("")).otherwise(none).alias("user"),
        pl.when(_HELD_IDLE).then(none).otherwise("node").alias("node"),
    ]

"""Fragmentation: requests that would not fit although enough GPUs, or slices, are free, hour by hour.

Pure, over lines of `/v1/bill`, eager or lazy. A device counts as free in an hour that it was free all through: that is
what somebody could have asked for. What is cordoned, draining, faulted or left over by MIG is not free, and pools of
jobs that name no node are left out. A device that was not observed is neither free nor taken: where it could have made
the difference the hour is `unknown`, and counts for neither side.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from analytics.line_groups import require
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.model import State

READ: Final = ("hour_us", "cluster", "node", "device", "model", "mig_profile", "parts", "state", "reason", "held_us")
NOT_ASKED_FOR: Final = ("stranded", "cordoned", "draining")  # idle, but nobody can be given it
VERDICTS: Final = ("fits", "fragmented", "scarce", "unknown")
REQUESTS: Final = pl.Schema(
    {
        "cluster": pl.String(),
        "model": pl.String(),
        "request": pl.String(),
        "parts": pl.Int64(),
        **{f"{verdict}_hours": pl.Int64() for verdict in VERDICTS},
        "mean_free_gpus": pl.Float64(),
        "mean_largest_gpus": pl.Float64(),
        "fragmented_ratio": pl.Float64(),
    }
)
NODES: Final = pl.Schema(
    {"cluster": pl.String(), "model": pl.String(), "free_gpus": pl.Int64(), "node_hours": pl.Int64()}
)
_HOUR: Final = ("cluster", "model", "hour_us")
Lines = pl.DataFrame | pl.LazyFrame


class Fragmentation(NamedTuple):
    """What would have fitted (REQUESTS), and in how many hours nodes had so many GPUs free (NODES)."""

    requests: pl.DataFrame
    nodes: pl.DataFrame


def fragmentation(lines: Lines) -> Fragmentation:
    """Return what would have fitted in how many hours, what was most often fragmented first; and how free GPUs lay.

    A request is for 1, 2, 4 … GPUs of one node, as far as nodes of the model go, or for one slice of a MIG profile that
    the fleet has. In a `fragmented` hour what was free of the model in the cluster comes to enough, and no node (no
    slice of that profile) has it; in a `scarce` one it does not come to enough. `fragmented_ratio` is of the hours in
    which enough was free and that are not unknown; null where there was none. Means are of GPUs, over all hours:
    free ones, and those of the largest request that fitted. Nodes of which something was not observed are in no row of
    `nodes`. Raises AnalysisError on what is no bill.
    """
    lazy = lines.lazy()
    require(lazy, READ)
    counts = _node_hours(lazy)
    is_slice = pl.col("mig_profile") != ""
    nodes = counts.filter(~is_slice & (pl.col("parts") == GPU_PARTS))
    slices = counts.filter(is_slice).group_by(*_HOUR, "mig_profile", "parts").agg(pl.col("free", "perhaps").sum())
    asked = pl.concat([_asked_gpus(nodes), _asked_slices(slices)])
    return Fragmentation(_requests(asked), _free_on_nodes(nodes))


def _node_hours(lazy: pl.LazyFrame) -> pl.DataFrame:
    """Return hours of nodes and kinds of devices: how many there are, are free, and may be free, for all of the hour.

    Only devices that may be free are told apart: they are few, and what is in memory is what they had.
    """
    keys, held, state = (*_HOUR, "mig_profile", "parts", "node"), pl.col("held_us"), pl.col("state")
    placed = lazy.filter(~pl.col("device").str.starts_with("pool:"))
    unseen = state == int(State.UNOBSERVED)
    free = (state == int(State.IDLE)) & ~pl.col("reason").is_in(NOT_ASKED_FOR)
    every = placed.group_by(keys).agg((held.sum() // US_PER_HOUR).alias("devices")).collect(engine="streaming")
    devices = placed.filter(free | unseen).group_by(*keys, "device")
    sums = devices.agg(held.filter(free).sum().alias("free_us"), held.filter(unseen).sum().alias("unseen_us"))
    is_free = pl.col("free_us") >= US_PER_HOUR
    counts = (
        sums.with_columns(
            is_free.alias("free"),
            (~is_free & (pl.col("free_us") + pl.col("unseen_us") >= US_PER_HOUR)).alias("perhaps"),
        )
        .group_by(keys)
        .agg(
            pl.col("free", "perhaps").sum().cast(pl.Int64),
            (pl.col("unseen_us") > 0).any().alias("unseen"),
        )
        .collect(engine="streaming")
    )
    return every.join(counts, on=keys, how="left").with_columns(
        pl.col("parts").cast(pl.Int64), pl.col("free", "perhaps").fill_null(0), pl.col("unseen").fill_null(value=False)
    )


def _asked_gpus(nodes: pl.DataFrame) -> pl.DataFrame:
    """Return each size of request in each hour: what was free, what the largest node had, and what either could be."""
    could = pl.col("free") + pl.col("perhaps")
    hours = nodes.group_by(_HOUR).agg(
        pl.col("free").sum().alias("total"),
        could.sum().alias("could_total"),
        pl.col("free").max().alias("largest"),
        could.max().alias("could_largest"),
    )
    most = nodes.group_by("cluster", "model").agg(pl.col("devices").max().clip(1).alias("most"))
    powers = pl.DataFrame({"size": [2**n for n in range(12)]}, schema={"size": pl.Int64})
    sizes = pl.concat(
        [
            most.join(powers, how="cross").filter(pl.col("size") <= pl.col("most")).drop("most"),
            most.rename({"most": "size"}),
        ]
    ).unique()
    size = pl.col("size")
    request = pl.when(size == 1).then(pl.lit("1 GPU")).otherwise(pl.format("{} GPUs", size))
    return hours.join(sizes, on=["cluster", "model"]).select(
        "cluster",
        "model",
        request.alias("request"),
        (size * GPU_PARTS).alias("parts"),
        _verdict(
            fits=pl.col("largest") >= size,
            could_fit=pl.col("could_largest") >= size,
            enough=pl.col("total") >= size,
            could_be_enough=pl.col("could_total") >= size,
        ),
        pl.col("total").cast(pl.Float64).alias("free_gpus"),
        pl.col("largest").cast(pl.Float64).alias("largest_gpus"),
    )


def _asked_slices(slices: pl.DataFrame) -> pl.DataFrame:
    """Return a slice of each MIG profile in each hour: whether one was free, and what the free ones came to."""
    could = pl.col("free") + pl.col("perhaps")
    hours = slices.group_by(_HOUR).agg(
        (pl.col("free") * pl.col("parts")).sum().alias("total"),
        (could * pl.col("parts")).sum().alias("could_total"),
        pl.col("parts").filter(pl.col("free") > 0).max().fill_null(0).alias("largest"),
    )
    profiles = slices.select("cluster", "model", "mig_profile", "parts").unique()
    every = hours.join(profiles, on=["cluster", "model"]).join(
        slices.drop("parts"), on=[*_HOUR, "mig_profile"], how="left"
    )
    parts = pl.col("parts")
    return every.with_columns(pl.col("free", "perhaps").fill_null(0)).select(
        "cluster",
        "model",
        pl.col("mig_profile").alias("request"),
        "parts",
        _verdict(
            fits=pl.col("free") > 0,
            could_fit=could > 0,
            enough=pl.col("total") >= parts,
            could_be_enough=pl.col("could_total") >= parts,
        ),
        (pl.col("total") / GPU_PARTS).alias("free_gpus"),
        (pl.col("largest") / GPU_PARTS).alias("largest_gpus"),
    )


def _verdict(*, fits: pl.Expr, could_fit: pl.Expr, enough: pl.Expr, could_be_enough: pl.Expr) -> pl.Expr:
    unknown, fragmented = pl.lit("unknown"), pl.lit("fragmented")
    return (
        pl.when(fits)
        .then(pl.lit("fits"))
        .when(could_fit)
        .then(unknown)
        .when(enough)
        .then(fragmented)
        .when(could_be_enough)
        .then(unknown)
        .otherwise(pl.lit("scarce"))
        .alias("verdict")
    )


def _requests(asked: pl.DataFrame) -> pl.DataFrame:
    counts = ((pl.col("verdict") == each).sum().cast(pl.Int64).alias(f"{each}_hours") for each in VERDICTS)
    enough = pl.col("fits_hours") + pl.col("fragmented_hours")
    return (
        asked.group_by("cluster", "model", "request", "parts")
        .agg(
            *counts,
            pl.col("free_gpus").mean().alias("mean_free_gpus"),
            pl.col("largest_gpus").mean().alias("mean_largest_gpus"),
        )
        .with_columns(pl.when(enough > 0).then(pl.col("fragmented_hours") / enough).alias("fragmented_ratio"))
        .select(pl.col(name).cast(kind) for name, kind in REQUESTS.items())
        .sort(["fragmented_hours", "cluster", "model", "parts", "request"], descending=[True, *[False] * 4])
    )


def _free_on_nodes(nodes: pl.DataFrame) -> pl.DataFrame:
    seen = nodes.filter(~pl.col("unseen"))
    counted = seen.group_by("cluster", "model", pl.col("free").alias("free_gpus")).agg(pl.len().alias("node_hours"))
    return counted.select(pl.col(name).cast(kind) for name, kind in NODES.items()).sort("cluster", "model", "free_gpus")

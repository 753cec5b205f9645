"""The dearest charges of each row of waste, by the names that `gpuledger explain` takes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.model import State

MOST_EVIDENCE: Final = 3
_BATCH: Final = 1_000_000  # lines held at once
_NAMED: Final = ("hour_us", "offset_us", "cluster", "at_node", "device", "holder", "state", "reason_as_is")


def dearest(wasted: pl.LazyFrame, row: Sequence[str]) -> pl.DataFrame:
    """Return up to three charges of each group of `row`, the dearest first, as column `evidence`.

    Lines stream by, and only the dearest of each group so far are kept. Of equal cost the earliest comes first; what
    has no price comes last.
    """
    best = wasted.select(*row, "cost_quanta", *_NAMED).head(0).collect()
    for batch in wasted.select(best.columns).collect_batches(chunk_size=_BATCH, maintain_order=False):
        best = _best(pl.concat([best, _best(batch, row)]), row)
    state = pl.col("state").replace_strict({int(each): each.label for each in State}, return_dtype=pl.String)
    name = charge_name(pl.col("hour_us"), pl.col("offset_us"), state, pl.col("reason_as_is"), "at_node")
    named = best.select(*row, name.alias("evidence"))
    return named.group_by(row, maintain_order=True).agg("evidence")


def _best(lines: pl.DataFrame, row: Sequence[str]) -> pl.DataFrame:
    ordered = lines.sort("cost_quanta", *_NAMED, descending=[True, *[False] * len(_NAMED)], nulls_last=True)
    return ordered.group_by(row, maintain_order=True).head(MOST_EVIDENCE)


def charge_name(hour_us: pl.Expr, offset_us: pl.Expr, state: pl.Expr, reason: pl.Expr, node: str = "node") -> pl.Expr:
    """Return the name of a charge, as `gpuledger explain` reads it; state and reason are words, `node` is a column."""
    at = pl.from_epoch(hour_us + offset_us, time_unit="us")
    fraction = pl.when(offset_us % US_PER_SECOND != 0).then(at.dt.strftime("%.6f")).otherwise(pl.lit(""))
    turned = pl.concat_str([at.dt.strftime("%Y-%m-%dT%H:%M:%S"), fraction, pl.lit("Z")])
    hour = pl.when(offset_us == 0).then(at.dt.strftime("%Y-%m-%dT%H")).otherwise(turned)
    fields = (pl.col(name).fill_null("") for name in ("cluster", node, "device", "holder"))
    return pl.concat_str([hour, *(_escaped(field) for field in (*fields, state, reason))], separator="@")


def _escaped(field: pl.Expr) -> pl.Expr:
    return field.str.replace_all("%", "%25", literal=True).str.replace_all("@", "%40", literal=True)

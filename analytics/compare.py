"""Two periods side by side: what each group cost in both, and why it changed: price, volume and mix.

Pure, over lines of `/v1/bill`. Money is whole quanta, times are microseconds x parts of a GPU, all exact; groups are
those of `/v1/chargeback` by what was held. The parts of a group sum to its change, and those of all groups to the whole
change. Time without a price has no cost: it takes no part in a change, and stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final

import polars as pl

from analytics.line_groups import IS_HELD, PART, columns_of, key_of, kind_of, part_us, require
from analytics.line_sums import summed
from gpuledger.accounting.changes import Sku, Spending, Spent, decompose, prices_of
from gpuledger.model import UNWATCHED_STATES

NEW: Final = "new"  # had nothing before
GONE: Final = "gone"  # has nothing now
_SKU: Final = ("model", "mig_profile")
_TIMES: Final = ("part_us", "unpriced_part_us", "unwatched_part_us")
READ: Final = ("state", "parts", "held_us", "active_unknown_us", "cost_quanta", *_SKU)
COSTS: Final = (
    "cost_quanta_before",
    "cost_quanta",
    *(f"{name}_quanta" for name in ("price", "volume", "mix", "no_price")),
)
SCHEMA: Final = pl.Schema(
    {
        "kind": pl.String(),
        "key": pl.String(),
        "standing": pl.String(),
        **dict.fromkeys(COSTS, PART),
        **{f"{name}{when}": PART for name in _TIMES for when in ("_before", "")},
    }
)
Lines = pl.DataFrame | pl.LazyFrame


def spending(pages: Iterable[Lines], by: str) -> pl.DataFrame:
    """Return what each group of `by` spent on each model and MIG profile, summed over pages of bill lines.

    A cost is null where nothing of it has a price. Raises AnalysisError on an unknown dimension or what is no bill.
    """
    sums = [_sums(page.lazy(), by) for page in pages]
    if not sums:
        return pl.DataFrame(schema={"kind": pl.String, "key": pl.String, **dict.fromkeys(_SKU, pl.String), **_MEASURES})
    return (
        pl.concat(sums)
        .group_by("kind", "key", *_SKU)
        .agg(_known_sum("cost_quanta"), *(pl.col(name).sum() for name in _TIMES))
        .sort("kind", "key", *_SKU)
    )


def compare(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each group of either period, owners and devices by what changed most. Both are of `spending`.

    `standing` is new or gone where only one period has the group. A cost is null where it has time and no price; then
    the whole change is `no_price_quanta`, because there is nothing to compare with, and it has no other part.
    """
    prices = prices_of(_of_all(before))
    groups = {(row["kind"], row["key"]) for frame in (before, now) for row in frame.iter_rows(named=True)}
    then, today = _by_group(before), _by_group(now)
    rows = [_row(group, then.get(group, []), today.get(group, []), prices) for group in groups]
    return pl.DataFrame(sorted(rows, key=_order), schema=SCHEMA)


_MEASURES: Final = dict.fromkeys(("cost_quanta", *_TIMES), PART)


def _sums(lines: pl.LazyFrame, by: str) -> pl.DataFrame:
    named = columns_of(by)
    require(lines, (*READ, *named))
    priced = pl.col("cost_quanta").is_not_null()
    keys = dict.fromkeys(("state", "parts", *_SKU, *named))
    groups = summed(lines, [*keys, priced.alias("priced")], ("held_us", "active_unknown_us", "cost_quanta"))
    time = part_us("held_us")
    unwatched = pl.when(IS_HELD).then(part_us("active_unknown_us")).otherwise(_all_of(time))
    return (
        groups.with_columns(kind_of(by), key_of(by), time.alias("time"), unwatched.alias("unwatched"))
        .group_by("kind", "key", *_SKU)
        .agg(
            pl.when(pl.col("priced").any()).then(pl.col("cost_quanta").sum()).alias("cost_quanta"),
            pl.col("time").sum().alias("part_us"),
            pl.col("time").filter(~pl.col("priced")).sum().alias("unpriced_part_us"),
            pl.col("unwatched").sum().alias("unwatched_part_us"),
        )
    )


def _all_of(time: pl.Expr) -> pl.Expr:
    unwatched = [int(state) for state in UNWATCHED_STATES]
    return pl.when(pl.col("state").is_in(unwatched)).then(time).otherwise(pl.lit(0, dtype=PART))


def _known_sum(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum()).alias(column)


def _by_group(spent: pl.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in spent.iter_rows(named=True):
        found.setdefault((row["kind"], row["key"]), []).append(row)
    return found


def _of_all(spent: pl.DataFrame) -> Spending:
    summed = spent.group_by(*_SKU).agg(_known_sum("cost_quanta"), *(pl.col(name).sum() for name in _TIMES))
    return _priced(summed.iter_rows(named=True))


def _priced(rows: Iterable[dict[str, Any]]) -> Spending:
    """Return the part of rows that has a price."""
    found: dict[Sku, Spent] = {}
    for row in rows:
        if row["cost_quanta"] is not None:
            time = row["part_us"] - row["unpriced_part_us"]
            found[tuple(row[name] for name in _SKU)] = Spent(time, row["cost_quanta"])
    return found


def _row(
    group: tuple[str, str], before: list[dict[str, Any]], now: list[dict[str, Any]], prices: dict[Sku, Fraction]
) -> dict[str, Any]:
    costs = [_cost(rows) for rows in (before, now)]
    known = None not in costs
    parts = decompose(_priced(before), _priced(now), prices) if known else None
    return {
        "kind": group[0],
        "key": group[1],
        "standing": NEW if not before else GONE if not now else "",
        "cost_quanta_before": costs[0],
        "cost_quanta": costs[1],
        **{f"{name}_quanta": getattr(parts, name, None) for name in ("price", "volume", "mix")},
        "no_price_quanta": 0 if known else (costs[1] or 0) - (costs[0] or 0),
        **{f"{name}_before": sum(row[name] for row in before) for name in _TIMES},
        **{name: sum(row[name] for row in now) for name in _TIMES},
    }


def _order(row: dict[str, Any]) -> tuple[bool, int, str, str]:
    change = (row["cost_quanta"] or 0) - (row["cost_quanta_before"] or 0)
    return row["kind"] not in ("owner", "device"), -abs(change), row["kind"], row["key"]


def _cost(rows: list[dict[str, Any]]) -> int | None:
    """Return what a group cost: nothing where it is not there, null where it is and nothing of it has a price."""
    known = [row["cost_quanta"] for row in rows if row["cost_quanta"] is not None]
    return None if rows and not known else sum(known)

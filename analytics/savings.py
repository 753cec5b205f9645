"""Advice about waste, kept so that it can be followed: who wasted how much, and what the same wastes later.

Pure, over lines of `/v1/bill`. Advice is by workload, team and user, or by node, whatever the reasons: runs of a
workload are one, and the Slurm jobs of a user are one. Times and money are exact, as those of `analytics.waste`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from analytics.line_groups import IS_HELD, PART, part_us, require, workload
from analytics.waste import READ, STRANDED, waste
from gpuledger.model import RUN_NUMBER

MOST_KEPT: Final = 250
_KEY: Final = ["kind", "workload", "team", "user", "node"]
_OWNED: Final = ["workload", "team", "user"]


class Key(NamedTuple):
    """What advice is about."""

    kind: str
    workload: str
    team: str
    user: str
    node: str


class Advice(NamedTuple):
    """Waste of a period: its most costly reason, its time, and what could be saved (None: some of it has no price)."""

    key: Key
    reason: str
    part_us: int
    low_quanta: int | None
    high_quanta: int | None


class After(NamedTuple):
    """What a key wastes in a later period, and whether it holds anything in it (of what MIG leaves over: is there)."""

    part_us: int
    still_there: bool


def advise(lines: pl.DataFrame) -> list[Advice]:
    """Return the advice that the waste of these lines gives, the dearest first; at most MOST_KEPT.

    Waste of which nothing is certain to be saved, such as that of a training's checkpoints, gives none.
    """
    rows = _keyed(waste(lines), pl.col("workload"))
    priced = pl.col("unpriced_part_us").sum() == 0
    found = (
        rows.sort("high_quanta", descending=True, nulls_last=True)
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("reason").first(),
            pl.col("part_us").sum(),
            pl.when(priced).then(pl.col("low_quanta").sum()).alias("low_quanta"),
            pl.when(priced).then(pl.col("high_quanta").sum()).alias("high_quanta"),
        )
        .filter(pl.col("low_quanta").is_null() | (pl.col("low_quanta") > 0))
        .sort(["high_quanta", "part_us", *_KEY], descending=[True, True, *[False] * len(_KEY)], nulls_last=True)
    )
    return [
        Advice(_key(row), row["reason"], int(row["part_us"]), _whole(row["low_quanta"]), _whole(row["high_quanta"]))
        for row in found.head(MOST_KEPT).iter_rows(named=True)
    ]


def after(lines: pl.DataFrame) -> dict[Key, After]:
    """Return what each key wastes in these lines; keys that waste nothing are there where they hold something."""
    require(lines.lazy(), READ)
    rows = _keyed(waste(lines), pl.col("workload")).group_by(_KEY).agg(pl.col("part_us").sum())
    wasted = {_key(row): int(row["part_us"]) for row in rows.iter_rows(named=True)}
    found = {key: After(part, still_there=True) for key, part in wasted.items()}
    named = _keyed(
        lines.filter(IS_HELD).select(
            workload().alias("workload"),
            pl.col("team").fill_null(""),
            pl.col("user_name").fill_null("").alias("user"),
            part_us("held_us").alias("part_us"),
        ),
        pl.col("workload"),
    )
    for row in named.select(_OWNED).unique().iter_rows(named=True):
        found.setdefault(Key("held_idle", row["workload"], row["team"], row["user"], ""), After(0, still_there=True))
    for node in lines["node"].unique():
        found.setdefault(Key(STRANDED, "", "", "", node), After(0, still_there=True))
    return found


def _keyed(rows: pl.DataFrame, name: pl.Expr) -> pl.DataFrame:
    """Give rows the name under which all runs of their workload are one."""
    jobs = pl.format("jobs of {}", pl.col("user"))
    runs = pl.when(name.str.contains(r"^job \d+$")).then(jobs).otherwise(name.str.replace(RUN_NUMBER, ""))
    return rows.with_columns(runs.alias("workload"), pl.col("part_us").cast(PART))


def _key(row: dict[str, str]) -> Key:
    return Key(*(row[name] for name in _KEY))


def _whole(value: int | None) -> int | None:
    return None if value is None else int(value)

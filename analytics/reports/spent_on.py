"""What a team's cost is made of: its work, GPUs, people and MLOps systems; the rows of each sum to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.compare import READ as SPENT
from analytics.compare import spending
from analytics.figures import share
from analytics.line_groups import IS_HELD, columns_of
from analytics.reports.charts import shorten
from analytics.reports.material import Material, money, part, watched_hours
from analytics.reports.report import Column, Kind, Row, Section, Table
from analytics.utilisation import utilisation
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.units import gpu_hours
from gpuledger.model import RUN_NUMBER

Document = Mapping[str, Any]
LEAST_KNOWN: Final = 0.1  # a table that says of less of the cost whose or what it was is left out
_TIMES: Final = ("held_part_us", "active_part_us", "watched_part_us", "held_idle_part_us")


class _Way(NamedTuple):
    """One way to take a cost apart."""

    by: str
    head: str
    title: str
    most: str  # the finding, of the first row


_WAYS: Final = (
    _Way("workload", "Workload", "What it was spent on", "{} took {} of it."),
    _Way("model", "GPU", "On which GPUs", "{} was {} of it."),
    _Way("user", "User", "By whom", "{} spent {} of it."),
    _Way("system", "MLOps system", "From which MLOps system", "{} took {} of it."),
)

READ: Final = tuple(
    dict.fromkeys((*SPENT, "hour_us", "active_us", "team", *(name for way in _WAYS for name in columns_of(way.by))))
)


def spent_on_sections(found: Material, team: str, spent: Document) -> list[Section]:
    """Return a section for each way in which enough is known; `spent` is the team's row of chargeback."""
    own = found.lines.filter(IS_HELD & (pl.col("team") == team)).select(READ).collect()
    return [_section(found, spent, way, rows) for way in _WAYS if _is_known(rows := spent_on(own, way.by))]


def spent_on(lines: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return time and cost of lines that are held, by a dimension, the dearest first.

    Workloads whose names differ in a trailing number only are runs of one. A cost is null where nothing has a price.
    """
    costs = spending([lines], by).group_by("kind", "key").agg(_known_sum("cost_quanta"))
    every = utilisation(lines, by).select("kind", "key", *_TIMES).join(costs, on=["kind", "key"], how="left")
    runs = every.with_columns(pl.col("key").str.replace(RUN_NUMBER, "")) if by == "workload" else every
    summed = runs.group_by("kind", "key").agg(
        pl.len().alias("runs"), *(pl.col(name).sum() for name in _TIMES), _known_sum("cost_quanta")
    )
    return summed.sort(["cost_quanta", "held_part_us", "key"], descending=[True, True, False], nulls_last=True)


def _known_sum(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum()).alias(column)


def _is_known(rows: pl.DataFrame) -> bool:
    """Return whether enough is known of whose or what the cost was, or the time where nothing has a price."""
    size = "cost_quanta" if any(rows["cost_quanta"].drop_nulls()) else "held_part_us"
    known = rows.filter(pl.col("kind") != "unattributed")
    whole, named = (sum(each[size].drop_nulls()) for each in (rows, known))
    return bool(whole) and named >= LEAST_KNOWN * whole


def _section(found: Material, spent: Document, way: _Way, rows: pl.DataFrame) -> Section:
    whole = money(spent["cost"])
    counted = way.by == "workload"
    columns = (
        Column(way.head),
        *([Column("Runs", Kind.COUNT)] if counted else []),
        Column("GPU-hours", Kind.HOURS),
        Column("At work", Kind.RATIO),
        Column("Idle, GPU-hours", Kind.HOURS),
        Column(found.currency, Kind.MONEY),
        Column("Share", Kind.RATIO),
    )
    total = (
        "Sum",
        *([sum(rows["runs"])] if counted else []),
        spent["gpu_hours"],
        part(spent["active_gpu_hours"], watched_hours(spent)),
        spent["states"].get("held_idle", 0.0),
        whole,
        1.0 if whole else None,
    )
    shown = [_row(row, whole, counted=counted) for row in rows.iter_rows(named=True)]
    first = next((row for row in shown if row.style != "aside"), shown[0])
    took = first.values[-1]
    finding = way.most.format(shorten(str(first.values[0]), 60), share(took)) if isinstance(took, float) else ""
    command = f"gpuledger chargeback --period {found.label} --by {way.by}"
    return Section(way.title, finding, command, Table(columns, shown, Row(total, "total")))


def _row(row: Document, whole: Decimal | None, *, counted: bool) -> Row:
    cost = None if row["cost_quanta"] is None else from_quanta(row["cost_quanta"])
    nobody = row["kind"] == "unattributed"
    watched = float(gpu_hours(row["watched_part_us"]))
    values = (
        "not known" if nobody else row["key"],
        *([row["runs"]] if counted else []),
        float(gpu_hours(row["held_part_us"])),
        part(float(gpu_hours(row["active_part_us"])), watched),
        float(gpu_hours(row["held_idle_part_us"])),
        cost,
        float(cost / whole) if cost is not None and whole else None,
    )
    return Row(values, "aside" if nobody else "")

"""The collector's answers as frames: who paid, what time was spent as, what was held and did nothing.

Pure: documents in, frames out. Money is Decimal(38, 9), hours and energy Float64; null means unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from gpuledger.model import RUN_NUMBER, UNWATCHED_STATES
from gpuledger.zones import find_zone

Document = Mapping[str, Any]

MONEY: Final = pl.Decimal(38, 9)
OWNER: Final = "owner"
BILLED: Final = (OWNER, "device")  # groups of one key each; all other kinds are time that is nobody's
HELD_STATES: Final = ("active", "held_idle", "held_unobserved", "ungranted")
INSTANT: Final = pl.Datetime("us", "UTC")

CHARGEBACK_SCHEMA: Final = pl.Schema(
    {
        "key": pl.String(),
        "kind": pl.String(),
        "gpu_hours": pl.Float64(),
        "held_idle_gpu_hours": pl.Float64(),
        "unwatched_gpu_hours": pl.Float64(),
        "active_gpu_hours": pl.Float64(),
        "energy_kwh": pl.Float64(),
        "carbon_kg": pl.Float64(),
        "cost": MONEY,
    }
)
STATES_SCHEMA: Final = pl.Schema({"at": INSTANT, "state": pl.String(), "gpu_hours": pl.Float64()})
COSTS_SCHEMA: Final = pl.Schema({"at": INSTANT, "key": pl.String(), "cost": MONEY})
IDLE_SCHEMA: Final = pl.Schema(
    {
        "workload": pl.String(),
        "runs": pl.Int64(),
        "team": pl.String(),
        "user": pl.String(),
        "reason": pl.String(),
        "gpu_hours": pl.Float64(),
        "cost": MONEY,
    }
)


def chargeback_frame(answer: Document) -> pl.DataFrame:
    """Return one line a row of a chargeback answer, owners first by cost, then what nobody is billed for."""
    rows = [
        {
            "key": row["key"],
            "kind": row.get("kind", OWNER),
            "gpu_hours": row["gpu_hours"],
            "held_idle_gpu_hours": row.get("states", {}).get("held_idle", 0.0),
            "unwatched_gpu_hours": sum(row.get("states", {}).get(state.label, 0.0) for state in UNWATCHED_STATES),
            "active_gpu_hours": row.get("active_gpu_hours"),
            "energy_kwh": row.get("energy_kwh"),
            "carbon_kg": row.get("carbon_kg"),
            "cost": money(row.get("cost")),
        }
        for row in answer["rows"]
    ]
    return pl.DataFrame(rows, schema=CHARGEBACK_SCHEMA).sort(
        ~pl.col("kind").is_in(BILLED), -pl.col("cost").cast(pl.Float64), "key", nulls_last=True
    )


def timeline_states(answer: Document) -> pl.DataFrame:
    """Return GPU-hours for each step and state of a timeline answer."""
    rows = [
        {"at": _step(answer, step["at"]), "state": state, "gpu_hours": hours}
        for step in answer["rows"]
        for state, hours in step["states"].items()
    ]
    return pl.DataFrame(rows, schema=STATES_SCHEMA)


def timeline_costs(answer: Document) -> pl.DataFrame:
    """Return the cost for each step and team (or what nobody is billed for) of a timeline answer."""
    rows = [
        {"at": _step(answer, step["at"]), "key": key, "cost": money(cost)}
        for step in answer["rows"]
        for key, cost in step["costs"].items()
    ]
    return pl.DataFrame(rows, schema=COSTS_SCHEMA)


def _step(answer: Document, at: str) -> datetime:
    """Return when a step begins: an hour in UTC, a day as the midnight that its zone calls it by."""
    if answer["grain"] == "hour":
        return instant(at)
    return instant(at).astimezone(find_zone(answer["period"]["zone"])).replace(tzinfo=UTC)


def idle_frame(answer: Document) -> pl.DataFrame:
    """Return what was held and did nothing, the most expensive workload first, with the reason of most of its time.

    Names that differ in a trailing number only (`train-3`, `train-4-0`) are runs of one workload. Rows are those of
    `/v1/idle`, or of `/v1/idle_workloads`, which have their number of runs.
    """
    rows = [
        {name: row.get(name) or "" for name in ("team", "user", "reason")}
        | {"name": row.get("workload") or row.get("namespace") or row.get("user") or row.get("key") or ""}
        | {"gpu_hours": row["gpu_hours"], "cost": money(row.get("cost")), "told": row.get("runs", 0)}
        for row in answer["rows"]
    ]
    schema = {
        "name": pl.String(),
        "told": pl.Int64(),
        **{name: kind for name, kind in IDLE_SCHEMA.items() if name not in {"workload", "runs"}},
    }
    runs = pl.DataFrame(rows, schema=schema).with_columns(pl.col("name").str.replace(RUN_NUMBER, "").alias("workload"))
    summed = (
        runs.sort("gpu_hours", descending=True)
        .group_by("workload", "team", "user", maintain_order=True)
        .agg(
            pl.max_horizontal(pl.col("name").n_unique().cast(pl.Int64), pl.col("told").sum()).alias("runs"),
            pl.col("reason").first(),
            pl.col("gpu_hours").sum(),
            sum_or_null("cost"),
        )
    )
    return summed.select(IDLE_SCHEMA.names()).sort(
        ["cost", "gpu_hours", "workload"], descending=[True, True, False], nulls_last=True
    )


def sum_or_null(column: str) -> pl.Expr:
    """Add up what is known; nothing known is unknown, not zero."""
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum()).alias(column)


def state_hours(answer: Document) -> dict[str, float]:
    """Return the GPU-hours of each state over a whole chargeback answer."""
    total: dict[str, float] = {}
    for row in answer["rows"]:
        for state, hours in row.get("states", {}).items():
            total[state] = total.get(state, 0.0) + hours
    return total


def keep_largest(frame: pl.DataFrame, by: str, count: int, others: str) -> pl.DataFrame:
    """Return `frame` with all but its `count` largest keys (by the sum of `by`) added up as `others`."""
    order = frame.group_by("key").agg(pl.col(by).sum()).sort([pl.col(by), pl.col("key")], descending=[True, False])
    kept = order["key"].head(count).to_list()
    named = frame.with_columns(pl.when(pl.col("key").is_in(kept)).then("key").otherwise(pl.lit(others)).alias("key"))
    rest = [name for name in frame.columns if name not in {"key", by}]
    return named.group_by([*rest, "key"], maintain_order=True).agg(pl.col(by).sum())


def unwatched_hours(frame: pl.DataFrame) -> float:
    """Return the held GPU-hours in which nobody saw whether work was done."""
    return float(frame.filter(pl.col("kind") != "unobserved")["unwatched_gpu_hours"].sum())


def total_cost(frame: pl.DataFrame) -> Decimal:
    """Return the exact sum of the costs that are known."""
    return sum_money(frame["cost"])


def sum_money(costs: Iterable[Decimal | None]) -> Decimal:
    """Add up exact amounts, leaving out the unknown ones."""
    return sum((cost for cost in costs if cost is not None), Decimal(0))


def money(text: str | None) -> Decimal | None:
    """Return the exact amount that an answer writes as text."""
    return None if text is None else Decimal(text)


def instant(text: str) -> datetime:
    """Return an instant given as ISO 8601 text."""
    return datetime.fromisoformat(text)

"""Whose time a bill line is: the groups of `/v1/utilization`, as Polars expressions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from analytics.windows import BY, BY_DEVICE
from gpuledger.errors import AnalysisError
from gpuledger.model import HELD_STATES, State

HELD: Final = tuple(sorted(int(state) for state in HELD_STATES))
IS_HELD: Final = pl.col("state").is_in(HELD)
PART: Final = pl.Int128()  # microseconds x parts of a GPU: a year of a thousand GPUs is more than 64 bits hold
WHOLE: Final = (
    "hour_us", "offset_us", "state", "parts", "held_us", "active_us", "active_unknown_us", "energy_mj",
    "energy_unknown_us", "cost_quanta",
)  # fmt: skip
UNKNOWN: Final = "unknown"
UNATTRIBUTED: Final = "unattributed"
NOBODYS: Final = {State.IDLE: "idle", State.UNAVAILABLE: "unavailable", State.UNOBSERVED: "unobserved"}
_COLUMNS: Final = {"user": "user_name", "system": "workload_system"}


def require(lines: pl.LazyFrame, columns: Iterable[str]) -> None:
    """Raise AnalysisError where the lines lack a column that is needed, or count in anything but whole numbers.

    A float has no place among them: it may be no number at all, and sums of it depend on their order.
    """
    wanted, schema = list(columns), lines.collect_schema()
    missing = [name for name in wanted if name not in schema]
    if missing:
        raise AnalysisError(
            f"these are no bill lines: {', '.join(missing)} missing", hint="read them from /v1/bill, or its Arrow form"
        )
    exact = (name for name in WHOLE if name in wanted)
    wrong = [
        f"{name} is {schema[name]}" for name in exact if not (schema[name].is_integer() or schema[name] == pl.Null)
    ]
    carbon = schema["carbon_g_per_kwh"] if "carbon_g_per_kwh" in wanted else pl.Null()
    if carbon.is_float():
        wrong.append(f"carbon_g_per_kwh is {carbon}")
    if wrong:
        raise AnalysisError(
            f"these are no bill lines: {', '.join(wrong)}", hint="lines are whole microseconds, millijoules and quanta"
        )


def choose(name: str, value: str, known: Iterable[str]) -> str:
    """Return `value` where it is one of `known`; raises AnalysisError where not."""
    if value not in known:
        raise AnalysisError(f'{name} "{value}" is not known', hint=f"one of: {', '.join(known)}")
    return value


def columns_of(by: str) -> tuple[str, ...]:
    """Return the columns of bill lines that a dimension is made of. Raises AnalysisError where it is not known."""
    choose("by", by, BY)
    if by == "organisation":
        return ("organisation", "team")  # the team tells an owner without an organisation from nobody
    if by == "workload":
        return ("workload_name", "workload_id", "pod", "slurm_job", "container", "holder")
    if by == "system":
        return ("workload_system", "workload_scope")
    return (_COLUMNS.get(by, by),)


def key_of(by: str) -> pl.Expr:
    """Return what the group of a line is called, as column `key`."""
    if by in BY_DEVICE:
        return _filled(by).fill_null(UNKNOWN).alias("key")
    name = _name(by)
    nobodys = pl.col("state").replace_strict(
        {int(state): word for state, word in NOBODYS.items()}, default=None, return_dtype=pl.String
    )
    named = {"idle": "idle capacity"}
    held = name.fill_null(pl.when(_unnamed(by)).then(pl.lit("")).otherwise(pl.lit(UNATTRIBUTED)))
    return pl.when(IS_HELD).then(held).otherwise(nobodys.replace(named)).alias("key")


def kind_of(by: str) -> pl.Expr:
    """Return the kind of a line's group, as column `kind`: device, owner, unattributed, or a state."""
    if by in BY_DEVICE:
        return pl.lit("device").alias("kind")
    name = _name(by)
    nobodys = pl.col("state").replace_strict(
        {int(state): word for state, word in NOBODYS.items()}, default=None, return_dtype=pl.String
    )
    unnamed = pl.when(_unnamed(by)).then(pl.lit("unnamed")).otherwise(pl.lit(UNATTRIBUTED))
    held = pl.when(name.is_not_null()).then(pl.lit("owner")).otherwise(unnamed)
    return pl.when(IS_HELD).then(held).otherwise(nobodys).alias("kind")


def _unnamed(by: str) -> pl.Expr:
    """Return where time without a name at `by` is an owner's all the same."""
    return _filled("team").is_not_null() if by == "organisation" else pl.lit(value=False)


def _name(by: str) -> pl.Expr:
    """Return who or what a holder is by a dimension; null where nobody knows."""
    if by == "workload":
        return workload()
    return system() if by == "system" else _filled(columns_of(by)[0])


def system() -> pl.Expr:
    """Return which MLOps system a holder's work is of, and what it is there: `mlflow run`, `jupyter kernel`."""
    named = pl.format("{} {}", pl.col("workload_system"), pl.col("workload_scope").fill_null("")).str.strip_chars_end()
    return pl.when(named.str.strip_chars() != "").then(named)


def workload() -> pl.Expr:
    """Return what a holder's work is called: the name its system gave it, else its pod, job, container or key."""
    job = pl.when(_filled("slurm_job").is_not_null()).then(pl.format("job {}", "slurm_job"))
    named = (_filled(name) for name in ("workload_name", "workload_id", "pod"))
    return pl.coalesce(*named, job, _filled("container"), _filled("holder"))


def part_us(column: str) -> pl.Expr:
    """Return a time of lines in microseconds x parts of a GPU; what is not known adds nothing."""
    return pl.col(column).fill_null(0).cast(PART) * pl.col("parts").cast(PART)


def _filled(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != "").then(pl.col(column)).otherwise(None)

"""What the Utilisation page shows: figures in; finding, lead and table out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from analytics.line_groups import PART
from analytics.utilisation import TIMES, whole_week
from dashboards import wording
from dashboards.view_models import Line, Table

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST_ROWS: Final = 30
CELLS: Final = pl.Schema({"key": pl.String(), "weekday": pl.Int8(), "hour": pl.Int8(), **dict.fromkeys(TIMES, PART)})
SMALL_PRINT: Final = (
    "Active means that a kernel ran on the GPU, not how much of the GPU it used. Time that nobody observed counts as"
    " neither used nor idle: active is a share of the held time that was watched."
)


def finding(total: Mapping[str, Any], spoken: str) -> str:
    """Return the page's title: what was held, and how much of that worked."""
    held = _percent(total["held_of_capacity"])
    active = _percent(total["active_of_held"])
    return f"{held} of GPU time was held {spoken}, and {active} of that was active"


def lead(total: Mapping[str, Any]) -> str:
    """Return the sentence below: hours behind the shares, and what was not observed."""
    unseen = total["states"].get("unobserved", 0.0)
    more = f" {wording.hours(unseen)} were not observed." if unseen else ""
    hours = wording.hours(total["held_gpu_hours"])
    return f"{hours} of {wording.hours(total['gpu_hours'])} GPU-hours were held.{more}"


def week(answer: Mapping[str, Any], key: str) -> pl.DataFrame:
    """Return the week of one group of `/v1/week`, or of all of them where `key` is empty."""
    cells = pl.DataFrame(answer["rows"], schema=CELLS)
    if key:
        return whole_week(cells.filter(pl.col("key") == key))
    fleet = cells.with_columns(pl.lit("fleet").alias("key"))
    return whole_week(fleet.group_by("key", "weekday", "hour").agg(pl.col(TIMES).sum()))


def week_finding(week: pl.DataFrame) -> str:
    """Return the emptiest hour of the week: where work could be moved to."""
    seen = week.filter(pl.col("held_of_observed").is_not_null())
    if seen.is_empty():
        return "Nothing was observed"
    least = seen.sort("held_of_observed", "weekday", "hour").row(0, named=True)
    day, share = DAYS[least["weekday"] - 1], _percent(least["held_of_observed"])
    return f"The emptiest hour was {day} {least['hour']:02}:00, with {share} held"


def table(answer: Mapping[str, Any], by: str) -> Table:
    """Return the groups: hours, and both ratios."""
    lines = tuple(_line(row, by) for row in answer["rows"][:MOST_ROWS])
    heads = (wording.DIMENSION_WORDS[by][0], "GPU-hours", "Held", "Held of capacity", "Active of held", "Unobserved")
    total = _line({**answer["total"], "kind": "total"}, by)
    return Table(heads, (*lines, total), left_out=max(0, len(answer["rows"]) - MOST_ROWS))


def _line(row: Mapping[str, Any], by: str) -> Line:
    name = wording.title(row["key"]) if by == "team" or row["kind"] == "total" else row["key"]
    kind = row["kind"] if row["kind"] == "total" else "owner" if row["kind"] in {"owner", "device"} else "aside"
    hours = (wording.hours_column(row[name]) for name in ("gpu_hours", "held_gpu_hours"))
    ratios = (_percent(row[name]) for name in ("held_of_capacity", "active_of_held"))
    return Line(kind, (name, *hours, *ratios, wording.hours_column(row["states"].get("unobserved", 0.0))))


def _percent(ratio: float | None) -> str:
    return wording.UNKNOWN if ratio is None else wording.share(ratio, 1.0)

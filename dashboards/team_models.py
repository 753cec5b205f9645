"""What the My team page shows: what a team spent, on what, what of it did nothing, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.overview import idle_frame, sum_money
from dashboards import wording
from dashboards.view_models import Kpi, Line, Table
from dashboards.waste_models import ADVICE, OTHERWISE

Document = Mapping[str, Any]
MOST_ADVICE: Final = 6


def idle_of(idle: Document, team: str) -> pl.DataFrame:
    """Return what a team held that did nothing, the dearest workload first."""
    return idle_frame({**idle, "rows": [row for row in idle["rows"] if row["team"] == team]})


def finding(team: str, part: Document, wasted: pl.DataFrame, spoken: str) -> str:
    """Return the headline: what the team spent, and what of it did nothing."""
    name, total, currency = wording.title(team), part["total"], part["currency"] or ""
    if not part["groups"]:
        return f"{name} held no GPU {spoken}"
    if total["cost"] is None:
        return f"{name} held {wording.hours(total['gpu_hours'])} GPU-hours {spoken}; none has a price yet"
    spent = wording.money_short(Decimal(total["cost"]), currency)
    idle = sum_money(wasted["cost"])
    if not idle:
        return f"{name} spent {spent} {spoken}, and nothing was seen to stand idle"
    return f"{name} spent {spent} {spoken}; {wording.money_short(idle, currency)} of it did nothing"


def lead(part: Document, whole: Document, before: Document | None, before_name: str) -> str:
    """Return the sentence below it: against an earlier time, and of the fleet."""
    cost = Decimal(part["total"]["cost"] or 0)
    share = wording.share(cost, Decimal(whole["total"]["cost"] or 0))
    words = f"That is {share} of what the fleet cost"
    changed = wording.change(cost, Decimal(before["total"]["cost"] or 0)) if before else ""
    return f"{words}, and {changed} against {before_name}." if changed else f"{words}."


def kpis(part: Document, wasted: pl.DataFrame) -> tuple[Kpi, ...]:
    """Return the figures that a team lead asks for first."""
    total, currency = part["total"], part["currency"] or ""
    cost = Decimal(total["cost"] or 0)
    hours, active = total["gpu_hours"], total["active_gpu_hours"]
    watched = wording.watched_hours(hours, total["states"])
    idle, idle_hours = sum_money(wasted["cost"]), float(wasted["gpu_hours"].sum())
    priced = total["cost"] is not None
    energy = total["energy_kwh"]
    return (
        Kpi(
            "Spent",
            wording.money_short(cost, currency) if priced else wording.UNKNOWN,
            "",
            "by what was held, before adjustments",
        ),
        Kpi(
            "Held",
            wording.hours(hours),
            "GPU-hours",
            wording.UNKNOWN if energy is None else f"{wording.hours(energy)} kWh",
        ),
        Kpi(
            "Utilisation",
            wording.UNKNOWN if active is None else wording.share(active, watched),
            "of observed held time",
            f"{wording.hours(active)} active of {wording.hours(watched)} GPU-hours",
        ),
        Kpi(
            "Held, did nothing",
            wording.money_short(idle, currency) if priced else wording.UNKNOWN,
            "",
            f"{wording.hours(idle_hours)} GPU-hours, {wording.share(idle, cost)} of the cost",
        ),
    )


def advice_finding(wasted: pl.DataFrame, currency: str) -> str:
    """Return the title of what to do: how many workloads make up most of it."""
    if wasted.is_empty():
        return "Nothing to do: all that was watched worked"
    costs = [cost or Decimal(0) for cost in wasted["cost"]]
    total, top = sum(costs, Decimal(0)), sum(costs[:MOST_ADVICE], Decimal(0))
    if not total:
        return f"{wording.hours(float(wasted['gpu_hours'].sum()))} GPU-hours did nothing, and have no price"
    if len(costs) == 1:
        return f"One workload is all of it: {wording.money_short(total, currency)}"
    if len(costs) <= MOST_ADVICE:
        return f"{len(costs)} workloads are all of it: {wording.money_short(total, currency)}"
    return f"{MOST_ADVICE} of {len(costs):,} workloads are {wording.share(top, total)} of what did nothing"


def advice_table(wasted: pl.DataFrame, currency: str) -> Table:
    """Return what to do about the dearest workloads that held GPUs and did nothing."""
    lines = tuple(
        Line(
            "owner",
            (
                row["workload"],
                ADVICE.get(row["reason"], OTHERWISE),
                wording.hours_column(row["gpu_hours"]),
                wording.money(row["cost"], currency),
            ),
            " · ".join(each for each in (row["user"], wording.reason(row["reason"])) if each),
        )
        for row in wasted.head(MOST_ADVICE).iter_rows(named=True)
    )
    heads = ("Workload", "What to do", "GPU-hours", "Cost")
    return Table(heads, lines, 2, left_out=max(0, wasted.height - MOST_ADVICE))

"""What the Waste page shows: answers of `/v1/waste` and `/v1/idle_power` in; finding, lead and table out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from analytics.waste import STRANDED
from dashboards import wording
from dashboards.view_models import Line, Table
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.units import gpu_hours

Document = Mapping[str, Any]
MOST_ROWS: Final = 25
MOST_NODES: Final = 8
ADVICE: Final = {
    "memory_held": "End it, or release the GPU when idle",
    "never_started": "Check why it never ran; end it",
    "starved": "Speed up its data loading",
    "throttled": "Look at cooling and power limits",
    "stalled": "Look into it: it holds and does not move",
    "stranded": "Change the MIG layout so that all slices fit",
}
OTHERWISE: Final = "Ask its owner whether it is still needed"


def finding(answer: Document, spoken: str) -> str:
    """Return the page's title: what could be saved, and on what most of it."""
    if not answer["count"]:
        return f"Nothing was paid for and left idle {spoken}"
    if answer["high_quanta"] is None:
        return f"{_hours(answer)} GPU-hours did nothing {spoken}; none has a price yet"
    currency = answer["currency"] or ""
    low, high = (wording.money_short(from_quanta(answer[name]), currency) for name in ("low_quanta", "high_quanta"))
    return f"{low} to {high} could have been saved {spoken}"


def lead(answer: Document) -> str:
    """Return the sentence below: what the range means."""
    if not answer["count"]:
        return "Every GPU that someone held also worked, and MIG left nothing over."
    return (
        f"{_hours(answer)} GPU-hours were held idle or left over by MIG. The low end forgives the first"
        f" {answer['grace_hours']} hours of each idle stretch and hours with some work; the high end is all that it"
        " cost."
    )


def table(answer: Document) -> Table:
    """Return the dearest rows: what, why and whose, what to do, time, and the saving."""
    lines = tuple(_line(row, answer["currency"] or "") for row in answer["rows"])
    heads = ("What", "What to do", "GPU-hours", "Saving, low", "Saving, high")
    return Table(heads, lines, words=2, left_out=answer["count"] - len(lines))


def power_table(answer: Document) -> Table:
    """Return what idle boards took, by node."""
    lines = tuple(
        Line(
            "owner",
            (row["node"], wording.hours_column(float(gpu_hours(row["part_us"]))), f"{row['energy_mj'] / 3.6e9:,.1f}"),
            row["model"],
        )
        for row in answer["rows"]
    )
    return Table(("Node", "Idle GPU-hours", "Energy, kWh"), lines, left_out=answer["count"] - len(lines))


def _line(row: Document, currency: str) -> Line:
    owner = "Nobody" if row["kind"] == STRANDED else wording.title(row["team"]) or "Unattributed"
    about = " · ".join(part for part in (owner, row["user"], wording.reason(row["reason"])) if part)
    saving = (_money(row["low_quanta"], currency), _money(row["high_quanta"], currency))
    time = wording.hours_column(float(gpu_hours(row["part_us"])))
    name = f"Slices on {row['node']}" if row["kind"] == STRANDED else row["workload"]
    return Line("owner", (name, ADVICE.get(row["reason"], OTHERWISE), time, *saving), about)


def _money(quanta: int | None, currency: str) -> str:
    return wording.UNKNOWN if quanta is None else wording.money(from_quanta(quanta), currency)


def _hours(answer: Document) -> str:
    return wording.hours(float(gpu_hours(answer["part_us"])))

"""What the Waste page shows: figures in; finding, lead and table out. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.waste import STRANDED
from dashboards import wording
from dashboards.view_models import Line, Table
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.units import gpu_hours

MOST_ROWS: Final = 25
ADVICE: Final = {
    "memory_held": "End it, or release the GPU when idle",
    "never_started": "Check why it never ran; end it",
    "starved": "Speed up its data loading",
    "throttled": "Look at cooling and power limits",
    "stalled": "Look into it: it holds and does not move",
    "stranded": "Change the MIG layout so that all slices fit",
    "fewer_gpus": "Ask for fewer GPUs",
    "smaller_profile": "Ask for a smaller slice",
    "cheaper_model": "Ask for a cheaper model",
}
MOST_FOLLOWED: Final = 8
RESULTS: Final = {
    "gone": "Gone: it holds nothing any more",
    "saved": "Saved what was stated",
    "less": "Saved less than was stated",
    "nothing": "As much waste as before",
    "unpriced": "Its time has no price",
}
OTHERWISE: Final = "Ask its owner whether it is still needed"


def finding(frame: pl.DataFrame, currency: str, spoken: str) -> str:
    """Return the page's title: what could be saved, and on what most of it."""
    priced = frame["high_quanta"].drop_nulls()
    if frame.is_empty():
        return f"Nothing was paid for and left idle {spoken}"
    if priced.is_empty():
        return f"{_hours(frame)} GPU-hours did nothing {spoken}; none has a price yet"
    low, high = (_sum(frame, name, currency) for name in ("low_quanta", "high_quanta"))
    return f"{low} to {high} could have been saved {spoken}"


def more(advice: pl.DataFrame, currency: str) -> str:
    """Return the sentence on work that asked for more than it needed."""
    if advice.is_empty():
        return "No work of which memory and activity are known would do with less"
    low, high = (_sum(advice, name, currency) for name in ("low_quanta", "high_quanta"))
    saved = low if low == high else f"{low} to {high}"
    return f"Another {saved} could have been saved with fewer, smaller or cheaper GPUs"


def lead(frame: pl.DataFrame, grace_hours: int) -> str:
    """Return the sentence below: what the range means."""
    if frame.is_empty():
        return "Every GPU that someone held also worked, and MIG left nothing over."
    return (
        f"{_hours(frame)} GPU-hours were held idle or left over by MIG. The low end forgives the first"
        f" {grace_hours} hours of each idle stretch and hours with some work; the high end is all that it cost."
    )


def table(frame: pl.DataFrame, currency: str) -> Table:
    """Return the dearest rows: what, why and whose, what to do, time, and the saving."""
    lines = tuple(_line(row, currency) for row in frame.head(MOST_ROWS).iter_rows(named=True))
    heads = ("What", "What to do", "GPU-hours", "Saving, low", "Saving, high")
    return Table(heads, lines, words=2, left_out=max(0, frame.height - MOST_ROWS))


def advice_table(advice: dict[str, Any]) -> Table:
    """Return advice that was followed: whose, what became of it, what was stated, and what was saved."""
    rows = [row for row in advice["rows"] if row["result"] is not None]
    lines = tuple(
        Line(
            "owner",
            (
                row["workload"] or f"Slices on {row['node']}",
                RESULTS[row["result"]],
                *(_text_money(row[name], row["currency"]) for name in ("low", "high", "saved")),
            ),
            f"{wording.title(row['team']) or 'Nobody'} · {row['period'][0][:10]} to {row['period'][1][:10]}",
        )
        for row in rows[:MOST_FOLLOWED]
    )
    heads = ("What", "What became of it", "Stated, low", "Stated, high", "Saved")
    return Table(heads, lines, words=2, left_out=max(0, len(rows) - MOST_FOLLOWED))


def power_table(frame: pl.DataFrame) -> Table:
    """Return what idle boards took, by node."""
    lines = tuple(
        Line(
            "owner",
            (row["node"], wording.hours_column(float(gpu_hours(row["part_us"]))), f"{row['energy_mj'] / 3.6e9:,.1f}"),
            row["model"],
        )
        for row in frame.head(8).iter_rows(named=True)
    )
    return Table(("Node", "Idle GPU-hours", "Energy, kWh"), lines, left_out=max(0, frame.height - 8))


def _line(row: dict[str, Any], currency: str) -> Line:
    owner = "Nobody" if row["kind"] == STRANDED else wording.title(row["team"]) or "Unattributed"
    about = " · ".join(part for part in (owner, row["user"], wording.reason(row["reason"])) if part)
    saving = (_money(row["low_quanta"], currency), _money(row["high_quanta"], currency))
    time = wording.hours_column(float(gpu_hours(row["part_us"])))
    name = f"Slices on {row['node']}" if row["kind"] == STRANDED else row["workload"]
    advice = ": ".join(part for part in (ADVICE.get(row["reason"], OTHERWISE), row.get("instead", "")) if part)
    return Line("owner", (name, advice, time, *saving), about)


def _money(quanta: int | None, currency: str) -> str:
    return wording.UNKNOWN if quanta is None else wording.money(from_quanta(quanta), currency)


def _text_money(amount: str | None, currency: str) -> str:
    return wording.UNKNOWN if amount is None else wording.money(Decimal(amount), currency)


def _sum(frame: pl.DataFrame, name: str, currency: str) -> str:
    return wording.money_short(from_quanta(sum(frame[name].drop_nulls().to_list())), currency)


def _hours(frame: pl.DataFrame) -> str:
    return wording.hours(float(gpu_hours(sum(frame["part_us"].to_list()))))

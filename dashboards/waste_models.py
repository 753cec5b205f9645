"""What the Waste page shows: answers of `/v1/waste` and `/v1/idle_power` in; finding, lead and table out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.over_asked import with_advice
from analytics.waste import SCHEMA, STRANDED
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
    "no_process": "End it: nothing uses its grant",
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


def more(advice: pl.DataFrame, currency: str) -> str:
    """Return the sentence on work that asked for more than it needed."""
    if advice.is_empty():
        return "No work of which memory and activity are known would do with less"
    low, high = (_sum(advice, name, currency) for name in ("low_quanta", "high_quanta"))
    saved = low if low == high else f"{low} to {high}"
    return f"Another {saved} could have been saved with fewer, smaller or cheaper GPUs"


def in_one_list(answer: Document, advice: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the dearest rows of what was wasted and of what was advised."""
    return with_advice(pl.DataFrame(answer["rows"], schema=SCHEMA), advice).head(MOST_ROWS).to_dicts()


def table(rows: Iterable[Document], count: int, currency: str) -> Table:
    """Return the dearest rows of `count`: what, why and whose, what to do, time, and the saving."""
    lines = tuple(_line(row, currency) for row in rows)
    heads = ("What", "What to do", "GPU-hours", "Saving, low", "Saving, high")
    return Table(heads, lines, words=2, left_out=count - len(lines))


def advice_table(advice: Document) -> Table:
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
    advice = ": ".join(part for part in (ADVICE.get(row["reason"], OTHERWISE), row.get("instead", "")) if part)
    return Line("owner", (name, advice, time, *saving), about)


def _money(quanta: int | None, currency: str) -> str:
    return wording.UNKNOWN if quanta is None else wording.money(from_quanta(quanta), currency)


def _text_money(amount: str | None, currency: str) -> str:
    return wording.UNKNOWN if amount is None else wording.money(Decimal(amount), currency)


def _sum(frame: pl.DataFrame, name: str, currency: str) -> str:
    return wording.money_short(from_quanta(sum(frame[name].drop_nulls().to_list())), currency)


def _hours(answer: Document) -> str:
    return wording.hours(float(gpu_hours(answer["part_us"])))

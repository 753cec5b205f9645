"""Two periods as people read them on a terminal: both costs, the change, and why."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import group_name

Answer = Mapping[str, Any]
MOST: Final = 40


def compare(answer: Answer) -> RenderableType:
    """Draw the groups by how much they changed, then the total, and what to know of both periods."""
    by, rows = answer["by"], answer["rows"]
    now, before = (wording.month_name(answer[name]["label"]) for name in ("period", "with"))
    currency = answer["currency"] or "no prices"
    heads = (
        words(wording.DIMENSION_WORDS[by][0]),
        figures(before),
        figures(now),
        figures("Change"),
        figures("Price"),
        figures("Volume"),
        figures("Mix"),
    )
    lines = [_line(row, by) for row in rows[:MOST]]
    if rows:
        lines.append(_line(answer["total"], by))
    notes = [
        "Volume: time, at the average price of before. Mix: other GPUs, at their prices of before. Price: the rest.",
        *_notes(answer, now, before),
    ]
    if len(rows) > MOST:
        notes.insert(1, f"{len(rows) - MOST} more rows with --format csv.")
    return draw(f"{now} against {before}, in {currency}", heads, lines, notes)


def _line(row: Answer, by: str) -> Line:
    kind = row["kind"]
    name = f"{group_name(row, by)} ({row['standing']})" if row["standing"] else group_name(row, by)
    cells = (name, *(_amount(row[each]) for each in ("cost_before", "cost", "change", "price", "volume", "mix")))
    return Line(cells, kind if kind == "total" else "" if kind in {"owner", "device"} else "aside")


def _amount(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text) + 0:,.2f}".replace("-0.00", "0.00")


def _notes(answer: Answer, now: str, before: str) -> list[str]:
    """Return what makes the two unequal: hours not known yet, without a price, or not observed."""
    found = []
    for name, known, final in ((before, "known_before", "final_before"), (now, "known", "final")):
        facts = answer[known]
        if facts["hours"] < facts["of_hours"]:
            found.append(f"! {name} is known for {facts['hours']:,} of its {facts['of_hours']:,} hours.")
        for field, said in (("unpriced_gpu_hours", "have no price"), ("unobserved_gpu_hours", "are unobserved")):
            if facts[field]:
                found.append(f"{name}: {wording.hours(facts[field])} GPU-hours {said}.")
        if facts["pending_hours"]:
            found.append(f"! {name}: {facts['pending_hours']:,} hours wait to be rated again.")
        if not answer[final]:
            found.append(f"{name} is provisional: charges can change until it is closed.")
    unknown = Decimal(answer["total"]["no_price"] or 0)
    if unknown:
        found.append(f"! {unknown:,.2f} of the change is of groups that had no price in one of the two.")
    return found

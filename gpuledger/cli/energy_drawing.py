"""Energy and carbon as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import group_name, period_words

Answer = Mapping[str, Any]
MOST: Final = 40


def energy(answer: Answer) -> RenderableType:
    """Draw groups by energy, the total, and what moving work in time would have saved."""
    by, rows, building = answer["by"], answer["rows"], answer["pue"] is not None
    heads = (
        words(wording.DIMENSION_WORDS[by][0]),
        figures("GPU-hours"),
        figures("Energy, kWh"),
        figures("of it idle"),
        figures("CO2e, kg"),
        figures("Wh a useful hour"),
        *([figures("Building, kWh"), figures("CO2e, kg")] if building else []),
    )
    lines = [_line(row, by, building=building) for row in [*rows[:MOST], *([answer["total"]] if rows else [])]]
    return draw(f"Energy and carbon, {period_words(answer)}", heads, lines, _notes(answer))


def _line(row: Answer, by: str, *, building: bool) -> Line:
    kind = row["kind"]
    more = ("building_kwh", "building_carbon_kg") if building else ()
    names = ("gpu_hours", "energy_kwh", "idle_energy_kwh", "carbon_kg", "wh_per_active_gpu_hour", *more)
    cells = (group_name(row, by), *(wording.hours_column(row[name]) for name in names))
    return Line(cells, kind if kind == "total" else "" if kind in {"owner", "device"} else "aside")


def _notes(answer: Answer) -> list[str]:
    total = answer["total"]
    notes = [
        "Energy is measured at the board. A useful hour is an hour of a GPU at work; idle time of its holder counts."
    ]
    if total["unmetered_gpu_hours"]:
        notes.append(f"{wording.hours(total['unmetered_gpu_hours'])} GPU-hours have no reading of energy.")
    if total["carbon_unknown_kwh"]:
        unknown = wording.hours(total["carbon_unknown_kwh"])
        notes.append(f"! {unknown} kWh have no carbon intensity: gpuledger carbon import FILE")
    if len(answer["rows"]) > MOST:
        notes.append(f"{len(answer['rows']) - MOST} more rows with --format csv.")
    return [*notes, *shifting_notes(answer["shifting"])]


def shifting_notes(moved: Answer) -> list[str]:
    """Say what waiting would have saved, with what that assumes; or why nothing can be said."""
    total = moved["total"]
    if not total["batch_kwh"]:
        return []
    if total["saving_high_kg"] is None:
        return ["Moving work in time: nothing can be said, as no grid's intensity is known by the hour."]
    low, high = (wording.hours(total[name]) for name in ("saving_low_kg", "saving_high_kg"))
    days = "a day" if moved["days"] == 1 else f"{moved['days']} days"
    whole = wording.hours(total["movable_carbon_kg"])
    return [
        f"Batch work that waits for at most {days} would have saved {low} to {high} of its {whole} kg CO2e.",
        *moved["assumed"],
    ]

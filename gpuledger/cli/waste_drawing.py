"""Waste as people read it on a terminal: ranked in money, why, whose, and what could be saved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
MOST: Final = 20


def waste(answer: Answer) -> RenderableType:
    """Draw the dearest rows; below them what they leave out."""
    heads = (words("What"), words("Whose"), words("Why"), figures("GPU-hours"), figures("Saving"))
    rows = answer["rows"]
    lines = [_line(row, answer["currency"] or "") for row in rows[:MOST]]
    notes = [f"The low end forgives the first {answer['grace_hours']} hours of each idle stretch, and hours with work."]
    if len(rows) > MOST:
        notes.append(f"{len(rows) - MOST} more rows with --format csv.")
    power = sum(row["energy_kwh"] for row in answer["idle_power"])
    if power:
        notes.append(f"Idle boards took {power:,.1f} kWh; the ledger has no price of energy.")
    if rows:
        notes.append(f"Why a row is here: gpuledger explain {shlex.quote(rows[0]['evidence'][0])}")
    return draw(f"Waste, {answer['period']['label']}", heads, lines, [*notes, answer["left_out"]])


def _line(row: Answer, currency: str) -> Line:
    owner = " · ".join(part for part in (wording.title(row["team"]), row["user"]) if part)
    low, high = (None if row[name] is None else Decimal(row[name]) for name in ("saving_low", "saving_high"))
    saving = wording.UNKNOWN if low is None else f"{wording.money(low, currency)} to {wording.money(high, currency)}"
    cells = (row["workload"] or row["node"], owner, wording.reason(row["reason"]))
    return Line((*cells, wording.hours_column(row["gpu_hours"]), saving))

"""Advice in reports: work that fewer GPUs, a smaller MIG profile or a cheaper model would do. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from analytics.figures import amount
from analytics.over_asked import CHEAPER, FEWER, OVER_ASKED, SMALLER
from analytics.reports.material import Material, money
from analytics.reports.pieces import by_work
from analytics.reports.report import Column, Kind, Row, Section, Table
from analytics.words import title

Document = Mapping[str, Any]
TITLE: Final = "What less would do"
WORDS: Final = {FEWER: "Fewer GPUs", SMALLER: "A smaller MIG profile", CHEAPER: "A cheaper model"}
_MEANS: Final = (
    "Less must hold the most memory that was ever in use and the activity of 95 of 100 hours, each with a fifth to"
    " spare; the low end counts only what fits in the busiest hour too. A cheaper model is taken to be slower by as"
    " much as it is cheaper. Try it before you rely on it."
)
_APART: Final = "This is of time at work: what was held idle is in the section before, and no cost is in both."


def less_section(rows: Sequence[Document], material: Material, command: str, *, whose: bool) -> Section | None:
    """Return what would do instead of what was asked for, of rows of waste; None where nothing is advised."""
    advised = [row for row in rows if row["kind"] == OVER_ASKED]
    if not advised:
        return None
    columns = (
        Column("What"),
        *([Column("Whose")] if whose else []),
        Column("Would do"),
        Column(""),
        Column("Runs", Kind.COUNT),
        Column("GPU-hours", Kind.HOURS),
        Column("Saving, from", Kind.MONEY),
        Column("to", Kind.MONEY),
    )
    low, high = (sum((Decimal(row[name]) for row in advised), Decimal(0)) for name in ("saving_low", "saving_high"))
    whole = sum(row["gpu_hours"] for row in advised)
    total = Row(("Sum", *([""] if whose else []), "", "", None, whole, low, high), "total")
    notes = [_MEANS, _APART, f"Why the first row is here: gpuledger explain {shlex.quote(advised[0]['evidence'][0])}"]
    saved = amount(high) if amount(low) == amount(high) else f"Between {amount(low)} and {amount(high)}"
    finding = f"{saved} {material.currency} less for the same work."
    table = Table(columns, [_row(row, whose=whose) for row in by_work(advised)], total, 8)
    return Section(TITLE, finding, command, table, notes=notes)


def _row(row: Document, *, whose: bool) -> Row:
    owner = " ".join(filter(None, (title(row["team"]), row["user"]))) or "Unattributed"
    saving = (money(row[name]) for name in ("saving_low", "saving_high"))
    return Row(
        (
            row["workload"],
            *([owner] if whose else []),
            WORDS[row["reason"]],
            row["instead"],
            row["holders"],
            row["gpu_hours"],
            *saving,
        )
    )

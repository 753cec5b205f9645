"""Budgets as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import book_title, validity

Answer = Mapping[str, Any]
NO_BUDGETS: Final = "Nobody has a budget yet: gpuledger budget import FILE"
_WORDS: Final = {"": "", "notify": "", "hold": "new work waits", "block": "new work is refused"}


def status(answer: Answer) -> RenderableType:
    """Draw where each budget stands."""
    rows = answer["rows"]
    return _standing(f"Budgets at {wording.instant(answer['at'])}", rows, [] if rows else [NO_BUDGETS])


def tried(answer: Answer) -> RenderableType:
    """Draw where the budgets of a file would stand."""
    notes = [f"! {each}" for each in answer["warnings"]]
    notes += [
        f"At once: {row['owner']}, {row['period']}: {each}" for row in answer["rows"] for each in row["new_stages"]
    ]
    return _standing("Budgets by this file", answer["rows"], [*notes, "Nothing was stored."])


def book(answer: Answer) -> RenderableType:
    """Draw the budget book: one line a budget, its stages below each other."""
    lines = [
        Line(
            (
                _owner(row["owner"]),
                row["period"],
                f"{Decimal(row['amount']):,.2f}",
                row["currency"],
                "\n".join(row["stages"]),
                validity(row),
            )
        )
        for row in answer["rows"]
    ]
    columns = (words("Owner"), words("Period"), figures("Amount"), words(""), words("Stages"), words("Valid"))
    return draw(book_title("Budget book", answer), columns, lines, [] if lines else [NO_BUDGETS])


def evaluation(answer: Answer) -> RenderableType:
    """Draw what an evaluation recorded."""
    lines = [Line((row["budget"], row["period"], row["stage"])) for row in answer["rows"]]
    columns = (words("Budget"), words("Period"), words("Reached"))
    notes = [] if lines else ["No stage was reached that is not on record."]
    return draw("Stages reached since the last evaluation", columns, lines, notes)


def notices(answer: Answer) -> RenderableType:
    """Draw who was told what."""
    lines = [
        Line(
            (
                str(row["notice"]),
                row["to"],
                row["title"],
                row["state"],
                str(row["attempts"]),
                wording.instant(row["changed_at"]),
                row["reason"],
            ),
            "failed" if row["state"] == "failed" else "",
        )
        for row in answer["rows"]
    ]
    columns = (
        figures("ID"),
        words("To"),
        words("What"),
        words("State"),
        figures("Attempts"),
        words("Since"),
        words("Why"),
    )
    return draw("Notices", columns, lines, [] if lines else ["Nobody was to be told anything."])


def _standing(title: str, rows: Sequence[Answer], notes: list[str]) -> RenderableType:
    lines = [
        Line(
            (
                _owner(row["owner"]),
                row["period"],
                _money(str(Decimal(row["limit"]) + Decimal(row["raise"]))),
                _money(row["spent"]),
                wording.UNKNOWN if row["percent"] is None else f"{row['percent']} %",
                _money(row["forecast"]),
                row["currency"],
                wording.instant(row["exhausted_at"]) if row["exhausted_at"] else "",
                _WORDS[row["action"]] or row["stage"],
            ),
            "failed" if row["action"] in ("hold", "block") else "",
        )
        for row in rows
    ]
    columns = (
        words("Owner"),
        words("Period"),
        figures("Limit"),
        figures("Spent"),
        figures("Of limit"),
        figures("Forecast"),
        words(""),
        words("Used up"),
        words("What follows"),
    )
    return draw(title, columns, lines, [*(note for row in rows for note in _notes(row)), *notes])


def _notes(row: Answer) -> list[str]:
    """Return what is to be known beside the figures of one budget."""
    found = []
    name = f"{_owner(row['owner'])}, {row['period']}"
    if Decimal(row["raise"]):
        found.append(f"{name}: the limit has an approved raise of {_money(row['raise'])} in it.")
    if row["committed"] is not None and row["committed"] != row["spent"]:
        found.append(f"{name}: with what contracts commit to, {_money(row['committed'])}.")
    if row["unpriced_gpu_hours"]:
        found.append(f"! {name}: {wording.hours(row['unpriced_gpu_hours'])} GPU-hours have no price and are not in it.")
    if row["unobserved_gpu_hours"]:
        found.append(f"{name}: {wording.hours(row['unobserved_gpu_hours'])} GPU-hours of it nobody watched.")
    if row["note"]:
        found.append(f"! {name}: {row['note']}.")
    return found


def _owner(path: str) -> str:
    return "Everything" if path == "*" else path


def _money(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"

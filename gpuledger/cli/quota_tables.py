"""Quotas as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import book_title, validity

Answer = Mapping[str, Any]
NO_QUOTAS: Final = "Nobody has a quota yet: gpuledger quota import FILE"
_WORDS: Final = {"": "", "notify": "", "hold": "new work waits", "block": "new work is refused"}


def status(answer: Answer) -> RenderableType:
    """Draw where each quota stands."""
    rows = answer["rows"]
    heard = f", as devices reported until {wording.instant(answer['as_of'])}" if answer["as_of"] else ""
    notes = [f"! {note}." for note in answer["notes"]] if rows else [NO_QUOTAS]
    return _standing(f"Quotas at {wording.instant(answer['at'])}{heard}", rows, notes)


def tried(answer: Answer) -> RenderableType:
    """Draw where the quotas of a file would stand."""
    notes = [f"! {each}" for each in answer["warnings"]]
    notes += [f"At once: {_name(row)}: {each}" for row in answer["rows"] for each in row["new_stages"]]
    return _standing("Quotas by this file", answer["rows"], [*notes, "Nothing was stored."])


def book(answer: Answer) -> RenderableType:
    """Draw the quota book: one line a quota, its stages below each other."""
    lines = [
        Line(
            (
                row["owner"],
                _model(row),
                row["amount"],
                _unit(row, row["period"]),
                row["borrow"],
                row["lend"],
                "\n".join(row["stages"]),
                validity(row),
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Owner"),
        words("Model"),
        figures("Quota"),
        words(""),
        figures("Borrows"),
        figures("Lends"),
        words("Stages"),
        words("Valid"),
    )
    return draw(book_title("Quota book", answer), columns, lines, [] if lines else [NO_QUOTAS])


def evaluation(answer: Answer) -> RenderableType:
    """Draw what was recorded."""
    lines = [Line((row["quota"], row["period"], row["stage"])) for row in answer["rows"]]
    notes = [] if lines else ["No stage was reached that is not on record."]
    return draw("Stages reached since the last look", (words("Quota"), words("Period"), words("Reached")), lines, notes)


def _standing(title: str, rows: Sequence[Answer], notes: Sequence[str]) -> RenderableType:
    lines = [
        Line(
            (
                row["owner"],
                _model(row),
                f"{_amount(row['limit'] + row['raise'])} {_unit(row, row['period'])}",
                _amount(row["used"]),
                wording.UNKNOWN if row["percent"] is None else f"{row['percent']} %",
                _amount(row["borrowed"]),
                _amount(row["lent"]),
                _amount(row["room"]),
                "" if row["peak"] is None else _amount(row["peak"]),
                _WORDS[row["action"]] or row["stage"],
            ),
            "failed" if row["action"] in ("hold", "block") or row["beyond"] else "",
        )
        for row in rows
    ]
    columns = (
        words("Owner"),
        words("Model"),
        words("Quota"),
        figures("Used"),
        figures("Of quota"),
        figures("Borrowed"),
        figures("Lent"),
        figures("Room"),
        figures("Peak"),
        words("What follows"),
    )
    return draw(title, columns, lines, [*(note for row in rows for note in _notes(row)), *notes])


def _notes(row: Answer) -> list[str]:
    """Return what is to be known beside the figures of one quota."""
    found = []
    unit = "GPUs" if row["of"] == "devices" else "GPU-hours"
    if row["raise"]:
        found.append(f"{_name(row)}: an approved raise of {_amount(row['raise'])} {unit} is in it.")
    if row["beyond"]:
        found.append(f"! {_name(row)}: {_amount(row['beyond'])} {unit} are used beyond what anybody lends.")
    if row["unobserved"]:
        unseen = "GPUs have not been heard of for a while" if row["of"] == "devices" else "GPU-hours nobody watched"
        found.append(f"! {_name(row)}: {_amount(row['unobserved'])} {unseen}.")
    return found


def _name(row: Answer) -> str:
    return ", ".join(
        filter(None, (row["owner"], "" if row["model"] == "*" else row["model"], _unit(row, row["period"])))
    )


def _model(row: Answer) -> str:
    return "All" if row["model"] == "*" else str(row["model"])


def _unit(row: Answer, period: str) -> str:
    return "GPUs" if row["of"] == "devices" else f"GPU-hours, {period}"


def _amount(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")

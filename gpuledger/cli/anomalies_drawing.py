"""Anomalies as people read them on a terminal: whose, when, what came and what was expected, what it came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
KINDS: Final = {
    "spike": "more than expected, and over",
    "dip": "less than expected, and over",
    "level_shift": "a new level, that stays",
    "drop_out": "nothing any more",
    "appeared": "new here",
}
REASONS: Final = {
    "empty": "have nothing in the ledger",
    "not_known": "were not observed, or have no price",
    "too_short": "are known for too few days before",
    "sporadic": "have something on too few days for anything to be expected",
}


def anomalies(answer: Answer) -> RenderableType:
    """Draw what was not expected, the dearest first; say what was tested and what could not be."""
    span = f"{answer['period']['from'][:10]}..{answer['period']['to'][:10]}"
    title, notes = f"Not expected, {span}", _notes(answer)
    if not answer["rows"]:
        remarks = [Text(note, style="dim") for note in notes]
        text = Text(f"{title}\n", style="bold")
        return Text("\n").join([text, Text("Nothing: what came is what forecasts of the weeks before held."), *remarks])
    dimension = wording.DIMENSION_WORDS[answer["by"]][0]
    heads = (words(dimension), words("When"), words("What"), figures("Came"), figures("Expected"), figures("Cost"))
    return draw(title, heads, [_line(row, answer) for row in answer["rows"]], notes)


def _line(row: Answer, answer: Answer) -> Line:
    unit = answer["currency"] or "" if answer["metric"] == "cost" else ""
    expected = wording.UNKNOWN
    if row["expected"] is not None:
        low, high = (_amount(row[name], unit) for name in ("low_95", "high_95"))
        expected = _amount(row["expected"], unit) + (f" ({low} to {high})" if row["low_95"] is not None else "")
    cost = wording.UNKNOWN
    if row["money"] is not None:
        amount = Decimal(row["money"])
        cost = f"{'+' if amount > 0 else ''}{wording.money(amount, answer['currency'] or '', 0)}"
    when = f"{row['from'][:10]} to {row['to'][:10]}"
    return Line((row["key"], when, KINDS[row["kind"]], _amount(row["seen"], unit), expected, cost))


def _notes(answer: Answer) -> list[str]:
    tested = f"{answer['tested']:,} comparisons of {answer['groups']:,} groups"
    shared = f"{tested} share a chance of {answer['level']:.0%} of a false alarm."
    notes = [f"{shared} In brackets: where 95 of 100 such sums lie."]
    skipped = Counter(one["reason"] for one in answer["skipped"])
    notes += [f"{count:,} more {REASONS[reason]}." for reason, count in sorted(skipped.items())]
    if any(row["known_ratio"] < 1 for row in answer["rows"]):
        notes.append("Part of a stretch was not observed: it counts as neither.")
    return notes


def _amount(value: str | float | None, unit: str) -> str:
    if value is None:
        return wording.UNKNOWN
    amount = Decimal(str(value))
    return wording.money(amount, unit, 0) if unit else f"{amount:,.0f}"

"""What `policy list`, `adjustment list`, `gap` and imports with `--dry-run` show at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from analytics.words import ADJUSTMENT_WORDS, PLATFORM, title
from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.owner_tables import UNATTRIBUTED
from gpuledger.cli.tables import BOOKS, Answer, book_title, period_words, validity

SCOPE: Final = ("organisation", "department", "team", "pool", "model")


def policies(answer: Answer) -> RenderableType:
    """Draw the policy book."""
    lines = [
        Line(
            (
                str(row["entry"]),
                ", ".join(f"{name} {row[name]}" for name in SCOPE if row[name]) or "everybody",
                "\n".join(f"{name.replace('_', ' ')}: {said}" for name, said in row["settings"].items()),
                validity(row),
            )
        )
        for row in answer["rows"]
    ]
    columns = (figures("Entry"), words("For"), words("Says"), words("Valid"))
    return draw(book_title("Policy book", answer), columns, lines)


def adjustments(answer: Answer) -> RenderableType:
    """Draw what bills have beside charges of hours and corrections."""
    lines = [
        Line(
            (
                row["period"],
                title(row["team"]) or PLATFORM,
                f"{ADJUSTMENT_WORDS[row['kind']]}: {row['because']}",
                row["reference"],
                _amount(row["cost"]),
            ),
            "" if row["final"] else "aside",
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Period"),
        words("Team"),
        words("What for"),
        words("By"),
        figures(f"Cost, {answer['currency']}" if answer["currency"] else "Cost"),
    )
    provisional = any(not row["final"] for row in answer["rows"])
    notes = ["Lines of open periods (dim) are what they would be closed with now."] if provisional else []
    if any(row["kind"] == "manual" for row in answer["rows"]):
        notes.append("Entered by people: gpuledger adjustment list --entered has who, and what still waits for a bill.")
    return draw(f"Adjustments, {period_words(answer)}", columns, lines, notes)


def tried(kind: str, answer: Answer) -> RenderableType:
    """Draw what an import would change of each team's bill."""
    currency = answer["currency"] or ""
    lines = [
        Line(
            (
                row["period"],
                title(row["team"]) or PLATFORM,
                _amount(row["cost_before"]),
                _amount(row["cost_after"]),
                f"{Decimal(row['change']):+,.2f}",
                _unpriced(row),
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Period"),
        words("Team"),
        figures(f"Now, {currency}"),
        figures("Then"),
        figures("Change"),
        figures("Unpriced GPU-hours"),
    )
    name, counted = BOOKS[kind]
    head = f"{name}: {len(answer['rows']):,} of {answer['bills']:,} open bills would change"
    if not answer["changed"]:
        head = f"{name}: this file is version {answer['version']} already"
    notes = [f"! {warning}" for warning in answer["warnings"]]
    notes.append(f"{answer['entries']:,} {counted}. Nothing was stored: without --dry-run it applies.")
    return draw(head, columns, lines, notes)


def gaps(answer: Answer) -> RenderableType:
    """Draw what each team held and did not use, by cause."""
    causes = list(answer["total"]["parts"])
    lines = [Line(_gap_cells(row, title(row["team"]) or UNATTRIBUTED, causes)) for row in answer["rows"]]
    if answer["rows"]:
        lines.append(Line(_gap_cells(answer["total"], "Total", causes), "total"))
    columns = (
        words("Team"),
        figures(f"Held, {answer['currency'] or ''}".rstrip(", ")),
        figures("Used"),
        figures("Gap"),
        *(figures(_cause(cause)) for cause in causes),
    )
    notes = ["Held = used + gap, and the gap is the sum of its causes."]
    if answer["total"]["unpriced_gpu_hours"]:
        notes.append(f"! {answer['total']['unpriced_gpu_hours']:,.1f} GPU-hours have no price and are not in it.")
    return draw(f"What was held and not used, {period_words(answer)}", columns, lines, notes)


def _gap_cells(row: Mapping[str, Any], name: str, causes: list[str]) -> tuple[str, ...]:
    parts = row["parts"]
    amounts = (row["allocation_cost"], row["usage_cost"], row["gap"])
    return (name, *map(_amount, amounts), *(_amount(parts.get(cause, "0")) for cause in causes))


def _cause(cause: str) -> str:
    name, _, reason = cause.partition(": ")
    return f"{name.replace('_', ' ')}, {reason.replace('_', ' ')}" if reason else name.replace("_", " ")


def _amount(cost: str | None) -> str:
    return wording.UNKNOWN if cost is None else f"{Decimal(cost):,.2f}"


def _unpriced(row: Mapping[str, Any]) -> str:
    before, after = row["unpriced_gpu_hours_before"], row["unpriced_gpu_hours_after"]
    return f"{before:,.1f} → {after:,.1f}" if before != after else wording.hours_column(after)

"""What `owner explain`, `owner test` and the directory of people show at a terminal."""

from __future__ import annotations

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import Answer, book_title, period_words, validity

UNATTRIBUTED = "Unattributed"


def explained(answer: Answer) -> RenderableType:
    """Draw each rule and what became of it, for every cluster and pool in which the holder had devices."""
    lines = [
        Line(
            (
                f"{row['cluster']} {row['pool']}".strip(),
                str(row["rule"]),
                row["team"],
                "applies" if row["applies"] else "passed over",
                row["why"],
            ),
            "" if row["applies"] else "aside",
        )
        for row in answer["rows"]
    ]
    columns = (words("Where"), figures("Rule"), words("Team"), words("Verdict"), words("Why"))
    notes = [
        f"In {owner['cluster']}{' ' if owner['pool'] else ''}{owner['pool']}: "
        f"{' > '.join(filter(None, (owner[name] or '' for name in LEVELS))) or UNATTRIBUTED}, by {owner['because']}."
        for owner in answer["owners"]
    ]
    book = "the file" if answer["version"] is None else f"version {answer['version']} of the owner mapping"
    title = f"Who pays for {answer['holder']} on {wording.instant(answer['at'])}, by {book}"
    return draw(title, columns, lines, notes)


LEVELS = ("organisation", "department", "team", "project")


def moves(answer: Answer) -> RenderableType:
    """Draw what a mapping would move."""
    currency = answer["currency"] or ""
    lines = [
        Line(
            (
                row["from_owner"] or UNATTRIBUTED,
                row["to_owner"] or UNATTRIBUTED,
                wording.hours_column(row["gpu_hours"]),
                wording.UNKNOWN if row["cost"] is None else row["cost"],
            )
        )
        for row in answer["rows"]
    ]
    columns = (words("From"), words("To"), figures("GPU-hours"), figures(f"Cost, {currency}" if currency else "Cost"))
    moved, held = wording.hours(answer["moved_gpu_hours"]), wording.hours(answer["gpu_hours"])
    title = f"{moved} of {held} GPU-hours would move, {period_words(answer)}"
    notes = [*(f"! {warning}" for warning in answer["warnings"]), "Nothing was stored."]
    return draw(title, columns, lines, notes)


def directory(answer: Answer) -> RenderableType:
    """Draw the directory of people."""
    lines = [Line((row["user"], row["team"], row["department"], validity(row))) for row in answer["rows"]]
    columns = (words("User"), words("Team"), words("Department"), words("Valid"))
    return draw(book_title("Directory of people", answer), columns, lines)

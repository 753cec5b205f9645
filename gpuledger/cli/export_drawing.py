"""What an export wrote, as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]


def focus(answer: Answer) -> RenderableType:
    """Draw the billing periods of a FOCUS export, and name its files."""
    lines = [
        Line(
            (
                row["label"],
                row["status"],
                *(f"{row[name]:,}" for name in ("rows", "corrections", "adjustments")),
                f"{Decimal(row['cost']):,.2f}",
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Billing period"),
        words("State"),
        figures("Rows"),
        figures("Corrections"),
        figures("Adjustments"),
        figures(f"Billed, {answer['currency']}"),
    )
    notes = [_file(each) for each in answer["files"]]
    notes += [
        f"Provisional: {row['label']} is open, and known until {wording.instant(row['to'])}."
        for row in answer["rows"]
        if row["status"] == "open"
    ]
    if answer["unpriced_rows"]:
        notes.append(
            f"! {answer['unpriced_gpu_hours']:,.1f} GPU-hours have no price and are not in it "
            f"({answer['unpriced_rows']:,} rows)."
        )
    return draw(f"FOCUS {answer['spec']}", columns, lines, notes)


def tables(answer: Answer) -> RenderableType:
    """Draw which tables were written."""
    lines = [Line((row["table"], f"{row['rows']:,}", row["file"])) for row in answer["rows"]]
    return draw(f"Export of {answer['period']}", (words("Table"), figures("Rows"), words("File")), lines)


def _file(each: Answer) -> str:
    return f"{each['file']}: {each['rows']:,} rows"

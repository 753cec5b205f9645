"""Tokens as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words


def tokens(answer: Mapping[str, Any]) -> RenderableType:
    """Draw tokens in the order in which they were made."""
    lines = [
        Line(
            (
                str(row["token"]),
                row["name"],
                row["role"],
                row["agent"] or ", ".join(row["teams"]),
                row["state"],
                wording.instant(row["expires_at"]) if row["expires_at"] else "never",
                "" if row["uses"] is None else f"{row['used']} of {row['uses']}",
                row["created_by"],
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        figures("Token"),
        words("Name"),
        words("Role"),
        words("Of"),
        words("State"),
        words("Expires"),
        words("Used"),
        words("Made by"),
    )
    return draw("Tokens", columns, lines)

"""What `report all` wrote, as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, words

Answer = Mapping[str, Any]


def written(answer: Answer) -> RenderableType:
    """Draw the files of a period's reports; or say that there is nothing new."""
    lines = [Line((wording.title(row["team"]) or "All teams", row["kind"], row["file"])) for row in answer["rows"]]
    notes = [] if answer["written"] else [answer["why_not"]]
    title = f"Reports of {wording.month_name(answer['period'])}" if answer["period"] else "Reports"
    return draw(title, (words("Of"), words("Kind"), words("File")), lines, notes)

"""The audit log as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]


def events(answer: Answer) -> RenderableType:
    """Draw events, the newest first."""
    lines = [
        Line(
            (
                str(row["sequence"]),
                wording.instant(row["at"]),
                row["actor"],
                row["act"],
                row["subject"],
                ", ".join(f"{name} {value}" for name, value in row["details"].items()),
            )
        )
        for row in answer["rows"]
    ]
    columns = (figures("Event"), words("When"), words("Who"), words("Did"), words("What"), words("More"))
    return draw("Audit log", columns, lines)


def verdict(answer: Answer) -> RenderableType:
    """Say whether a log holds."""
    counts = f"{answer['events']:,} events, {answer['checkpoints']:,} checkpoints"
    if not answer["ok"]:
        return Text(f"Event {answer['bad_sequence']} does not hold: {answer['detail']}.\nUntil then: {counts}.")
    after = answer["events"] - answer["covered"]
    open_end = f"\n{after:,} events came after the last checkpoint: only their chain is checked." if after else ""
    return Text(f"The log holds: {counts}, root {answer['root']}.{open_end}")


def proof(answer: Answer) -> RenderableType:
    """Draw an inclusion proof."""
    lines = [Line((str(level), each)) for level, each in enumerate(answer["rows"])]
    title = f"Event {answer['sequence']} is in the log of {answer['size']:,} events"
    notes = [f"Leaf {answer['leaf']}", f"Root {answer['root']}"]
    return draw(title, (figures("Level"), words("Hash beside the way to the root")), lines, notes)

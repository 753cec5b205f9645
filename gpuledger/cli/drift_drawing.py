"""Drift as people read it on a terminal: what changed, by how much, and from what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from analytics.drift_metrics import metric_named
from dashboards.drift_models import CAUSES
from dashboards.wording import DIMENSION_WORDS
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]


def drift(answer: Answer) -> RenderableType:
    """Draw what drifted and what devices or workloads it comes from; say what was compared."""
    found = [row for row in answer["rows"] if row["verdict"] == "drift"]
    came = [
        row for row in answer["rows"] if row["verdict"] in {"appeared", "vanished"} and row["metric"] == "gpu_hours"
    ]
    moved = [row for row in answer["causes"] if row["cause"] in CAUSES]
    parts: list[RenderableType] = []
    title = f"Drift by {answer['by']}, {_span(answer['current'])} against {_span(answer['reference'])}"
    if found or came:
        heads = (
            words(DIMENSION_WORDS[answer["by"]][0]),
            words("Figure"),
            figures("Before"),
            figures("Now"),
            figures("q"),
        )
        lines = [_line(row) for row in found]
        lines += [Line((row["group"], row["verdict"], "", "", ""), "aside") for row in came]
        parts.append(draw(title, heads, lines))
    else:
        parts += [Text(title, style="bold"), Text(""), Text("No drift: what differs is no more than chance.")]
    if moved:
        causes = (words("Device or workload"), words("Figure"), figures("Change"), words("It is"))
        parts += [Text(""), draw("For the same work", causes, map(_cause, moved))]
    return Group(*parts, Text(""), *(Text(note, style="dim") for note in _notes(answer)))


def _line(row: Answer) -> Line:
    metric = metric_named(row["metric"])
    unit = f" {metric.unit}" if metric.unit else ""
    before, now = (_number(row[f"{side}_mean"]) for side in ("reference", "current"))
    return Line((row["group"], metric.words, f"{before}{unit}", f"{now}{unit}", f"{row['q']:.2g}"))


def _cause(row: Answer) -> Line:
    change = f"{row['shift_ratio'] * 100:+.1f} %"
    return Line((row["of"], metric_named(row["metric"]).words, change, CAUSES[row["cause"]]))


def _notes(answer: Answer) -> list[str]:
    counts = Counter(row["verdict"] for row in answer["rows"])
    now, before = answer["current"]["days"], answer["reference"]["days"]
    notes = [
        f"{answer['tested']:,} comparisons share a chance of {answer['level']:.0%} of a false alarm.",
        f"Compared: {now} days with {before} that have the same weekdays; {answer['days_left_out']} days are left out.",
    ]
    if counts["too_few"]:
        notes.append(f"{counts['too_few']:,} more have too few days or jobs to tell any change from chance.")
    if counts["small"]:
        notes.append(f"{counts['small']:,} changed too little to matter.")
    return notes


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def _span(window: Answer) -> str:
    return f"{window['from'][:10]}..{window['to'][:10]}"

"""What the Drift & forecast page shows of drift: what changed, by how much, and what it comes from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from analytics.drift_metrics import metric_named
from dashboards import wording
from dashboards.view_models import Line, Table

BYTES_PER_GIB: Final = 1 << 30

Document = Mapping[str, Any]
MOST_ROWS: Final = 25
MOST_STEADY: Final = 8
CAUSES: Final = {
    "hardware": "the device: its peers did the same work and did not change",
    "load": "its load: it was given other work than its peers",
    "workload": "the workload: all of its devices changed",
    "undetermined": "workload or device: too few devices ran it to tell",
}
CAME: Final = {"appeared": "New: nothing of it before", "vanished": "Gone: nothing of it now"}


def changed(answer: Document) -> list[Document]:
    """Return the rows that drifted."""
    return [row for row in answer["rows"] if row["verdict"] == "drift"]


def came(answer: Document) -> list[Document]:
    """Return the groups that appeared or vanished, once each."""
    return [row for row in answer["rows"] if row["verdict"] in CAME and row["metric"] == "gpu_hours"]


def moved(answer: Document) -> list[Document]:
    """Return the devices and workloads that changed for the same work."""
    return [row for row in answer["causes"] if row["cause"] in CAUSES]


def finding(answer: Document) -> str:
    """Return the headline: what changed beyond chance."""
    found, by = changed(answer), wording.DIMENSION_WORDS[answer["by"]]
    if found:
        groups = len({row["group"] for row in found})
        return f"{groups:,} {by[groups > 1].lower()} changed beyond chance against the days before"
    if came(answer):
        return f"{len(came(answer)):,} {by[1].lower()} came or went; nothing else changed beyond chance"
    return "Nothing changed beyond chance against the days before"


def lead(answer: Document) -> str:
    """Return the sentence below it: which days were compared with which, and how sure that is."""
    now, before = answer["current"], answer["reference"]
    counts = Counter(row["verdict"] for row in answer["rows"])
    few = f" {counts['too_few']:,} more have too few days or jobs to tell." if counts["too_few"] else ""
    return (
        f"{_span(now)} against {_span(before)} (UTC, the same weekdays of both): {answer['tested']:,} comparisons share"
        f" a chance of {answer['level']:.0%} of a false alarm.{few}"
    )


def table(answer: Document) -> Table:
    """Return what drifted: before, now, and how sure; then what came and went."""
    by = answer["by"]
    lines = [_line(row, by, "owner") for row in changed(answer)]
    lines += [Line("aside", (_group(row, by), CAME[row["verdict"]], "", "", "")) for row in came(answer)]
    return Table(_heads(answer), tuple(lines[:MOST_ROWS]), 2, left_out=max(0, len(lines) - MOST_ROWS))


def within_chance(answer: Document) -> Table:
    """Return what moved most without being told from chance, for a reader who expected something."""
    known = [row for row in answer["rows"] if row["verdict"] in ("steady", "small") and row["q"] is not None]
    nearest = sorted(known, key=lambda row: (row["q"], row["p"]))[:MOST_STEADY]
    return Table(_heads(answer), tuple(_line(row, answer["by"], "aside") for row in nearest), 2)


def causes_table(answer: Document, names: Mapping[str, str]) -> Table:
    """Return devices and workloads that changed for the same work, and what that comes from."""
    found = moved(answer)
    lines = [
        Line(
            "owner",
            (
                names.get(row["of"], row["of"]),
                _first_upper(CAUSES[row["cause"]]),
                metric_named(row["metric"]).words,
                f"{row['shift_ratio'] * 100:+.1f} %",
            ),
            row["model"],
        )
        for row in found[:MOST_ROWS]
    ]
    heads = ("Device or workload", "It is", "Figure", "Change")
    return Table(heads, tuple(lines), 3, left_out=max(0, len(found) - MOST_ROWS))


def _heads(answer: Document) -> tuple[str, ...]:
    return (wording.DIMENSION_WORDS[answer["by"]][0], "Figure", "Before", "Now", "Could be chance")


def _line(row: Document, by: str, kind: str) -> Line:
    figures = (_figure(row, "reference"), _figure(row, "current"), _sure(row["q"]))
    return Line(kind, (_group(row, by), _first_upper(metric_named(row["metric"]).words), *figures))


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _group(row: Document, by: str) -> str:
    return wording.title(row["group"]) if by == "team" else row["group"]


def _figure(row: Document, side: str) -> str:
    value, metric = row[f"{side}_mean"], metric_named(row["metric"])
    if value is None:
        return wording.UNKNOWN
    if metric.name.endswith("_ratio"):
        return f"{value * 100:.0f} %"
    if metric.unit == "B":
        return f"{value / BYTES_PER_GIB:,.2f} GiB"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
    return f"{number} {metric.unit}" if metric.unit else number


def _sure(q: float | None) -> str:
    return wording.UNKNOWN if q is None else "<0.1 %" if q < 0.001 else f"{q * 100:.1f} %"


def _span(window: Document) -> str:
    first, last = (wording.instant(window[name]).partition(",")[0] for name in ("from", "to"))
    return f"{first} until {last}"

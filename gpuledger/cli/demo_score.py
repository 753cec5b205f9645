"""What was found of what a demo planted: precision and recall for each kind, with everything missed and false by name.

A finding is right where a plant of its kind has its cause, is on what it names, and was there when it says. A plant is
found where all of its causes are told. What else is told is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import polars as pl
from rich.console import RenderableType

from agent.devices.simulated.plants import DRIFT, FAULT, WASTE, Plant
from gpuledger.accounting.intervals import Interval, overlap_us
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.cli.demo_findings import DIMENSIONS, RUN, Finding, Found, names_of
from gpuledger.cli.drawing import Line, draw, figures, words

KINDS: Final = (WASTE, FAULT, DRIFT)
_LATE_US: Final = US_PER_HOUR  # charges are of whole hours, and an event stands at the sample that saw it
Scopes = frozenset[tuple[str, str]]


class Score(NamedTuple):
    """Of one kind: how many plants there are and were found, how many findings there are and are right."""

    kind: str
    planted: int
    missed: tuple[str, ...]
    told: int
    false: tuple[str, ...]

    @property
    def recall(self) -> float | None:
        """Return the share of plants that were found; None where nothing was planted."""
        return 1 - len(self.missed) / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        """Return the share of findings that are right; None where nothing was told."""
        return 1 - len(self.false) / self.told if self.told else None

    @property
    def perfect(self) -> bool:
        """Whether each plant was found, and nothing else."""
        return not self.missed and not self.false


def score(plants: Iterable[Plant], found: Found) -> list[Score]:
    """Return a score for each kind. What is told of any plant is right; those that are due have to be found."""
    names = names_of(found.lines)
    scopes = {plant: _scopes(plant, names) for plant in plants}
    return [_score(kind, scopes, found) for kind in KINDS]


def drawing(scores: Iterable[Score]) -> RenderableType:
    """Draw what was planted, found and told, and name what is missed or false."""
    kept = list(scores)
    heads = (
        words("Kind"),
        figures("Planted"),
        figures("Found"),
        figures("Recall"),
        figures("Told"),
        figures("Precision"),
    )
    lines = [
        Line(
            (
                each.kind,
                str(each.planted),
                str(each.planted - len(each.missed)),
                _ratio(each.recall),
                str(each.told),
                _ratio(each.precision),
            )
        )
        for each in kept
    ]
    notes = [f"! Missed: {name}" for each in kept for name in each.missed]
    notes += [f"! False: {name}" for each in kept for name in each.false]
    return draw("What the history has planted, and what the finders tell of it", heads, lines, notes)


def _score(kind: str, scopes: Mapping[Plant, Scopes], found: Found) -> Score:
    findings = [each for each in found.findings if each.kind == kind]
    told: dict[Plant, set[str]] = {plant: set() for plant in scopes if plant.kind == kind}
    false: list[str] = []
    for finding in findings:
        right = [plant for plant in told if _belongs(finding, plant, scopes[plant])]
        for plant in right:
            told[plant].add(finding.cause)
        if not right:
            false.append(finding.words)
    due = {plant: causes for plant, causes in told.items() if _is_due(plant, found)}
    missed = [
        f"{plant.name} ({', '.join(sorted(plant.causes - causes))})"
        for plant, causes in due.items()
        if not plant.causes <= causes
    ]
    return Score(kind, len(due), tuple(missed), len(findings), tuple(false))


def _belongs(finding: Finding, plant: Plant, scopes: Scopes) -> bool:
    if (finding.dimension, finding.key) not in scopes:
        return False
    if plant.kind == DRIFT:
        return finding.metric in plant.metrics and finding.cause in {DRIFT, *plant.causes}
    seen = Interval(plant.interval.start_us - _LATE_US, plant.interval.end_us + _LATE_US)
    return finding.cause in plant.causes and overlap_us(seen, finding.interval) > 0


def _scopes(plant: Plant, names: pl.DataFrame) -> Scopes:
    """Return under which keys a plant may be told: its own, and those of what it is a part of."""
    its = pl.col("holder").is_in(list(plant.holders)) if plant.holders else pl.col("device").is_in(list(plant.devices))
    rows = names.filter(its)
    return frozenset((by, key) for by in (*DIMENSIONS, RUN) for key in rows[by].drop_nulls().unique())


def _is_due(plant: Plant, found: Found) -> bool:
    """Tell whether a plant could be found: a fault at once, waste in two weeks, a change at the window's edge.

    A holder that wastes now and then is not certain to do so in a few days. A change is at the edge where it lies
    within a day of the beginning of the current window.
    """
    if plant.kind == FAULT:
        return True
    if found.spans is None:
        return False
    return plant.kind == WASTE or abs(plant.interval.start_us - found.spans[1].start_us) <= US_PER_DAY


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

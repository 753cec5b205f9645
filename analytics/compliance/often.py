"""What was refused, read, reached and reported: sections whose like events are one line each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from analytics.compliance.acts import Part, part_of
from analytics.compliance.events import Event, Proof, counted
from analytics.compliance.folding import Folds
from analytics.reports.report import Column, Kind, Row, Section, Table

Cells = tuple[str, ...]


class Layout(NamedTuple):
    """How a section's events are told apart: the heads of its columns, and their cells."""

    heads: Cells
    cells: Callable[[Event], Cells]
    nothing: str
    command: str
    note: str = ""


def _refused(event: Event) -> Cells:
    if event.act.startswith("admission."):
        shadow = f"told {event.text('answered')}" + (f", {event.text('mode')}" if event.text("mode") else "")
        why = " ".join(
            filter(None, (event.text("reasons"), f'rule "{event.text("rule")}"' if event.text("rule") else ""))
        )
        return f"{event.act.replace('.', ' ')} ({shadow})", event.actor, event.text("owner") or "no owner", why
    if event.act == "rules.refuse":
        rule = event.text("rule") or "the default"
        return (
            f"rules: {event.text('action')}",
            event.actor,
            event.subject,
            f'rule "{rule}" of rules {event.text("rules")}',
        )
    why = event.text("why") or (f"may not {event.text('needs')}" if event.text("needs") else "")
    role = f" ({event.text('role')})" if event.text("role") else ""
    at = " ".join(filter(None, (event.text("route"), event.subject)))
    return event.act.replace(".", " "), f"{event.actor}{role}", at, why


def _read(event: Event) -> Cells:
    return event.actor, event.text("role"), event.subject


def _limit(event: Event) -> Cells:
    if event.act in {"budget.stage", "quota.stage"}:
        return (
            f"stage {event.text('stage')}",
            f"{event.subject} {event.text('period')}",
            event.text("why"),
            event.text("tell"),
        )
    return event.act.replace(".", " "), event.text("key"), event.text("reason"), event.text("to")


def _fleet(event: Event) -> Cells:
    return event.act.removeprefix("event.").replace(".", " ").replace("_", " "), event.subject, event.text("message")


LAYOUTS: Final[dict[Part, Layout]] = {
    Part.REFUSED: Layout(
        ("What", "Whom", "Where or whose", "Why"),
        _refused,
        "Nothing was refused.",
        "gpuledger audit list --act access.refuse",
        "Work in shadow mode was let start: the line says what enforcing would have refused.",
    ),
    Part.READS: Layout(
        ("Who", "Role", "What"),
        _read,
        "Nobody by name read what is of all teams.",
        "gpuledger audit list --act access.read",
        "The first read of an hour and how often it came again are on record. Exports read in this way too.",
    ),
    Part.LIMITS: Layout(
        ("What", "Of", "Why", "Who is told"), _limit, "No limit was reached.", "gpuledger audit list --act budget.stage"
    ),
    Part.FLEET: Layout(
        ("What", "Where", "What it says"), _fleet, "Nothing happened.", "gpuledger audit list --act agent.new"
    ),
}
_AGAIN: Final = ("times", "again", "count")  # a detail that says for how many an event stands


class Often:
    """Events of the sections above, folded."""

    def __init__(self) -> None:
        self._folds: dict[Part, Folds[Cells]] = {part: Folds() for part in LAYOUTS}
        self._details: dict[tuple[str, str, str], Event] = {}  # what one that came again said at first

    def take(self, event: Event, *, inside: bool) -> None:
        """Take the next event until the period's end."""
        part = part_of(event.act)
        layout = LAYOUTS.get(part)
        if layout is None:
            return
        like = (event.act, event.actor, event.subject)
        if event.act.startswith("access.") and "again" not in event.details:
            self._details[like] = event
        if inside:
            told = event._replace(details=self._details[like].details) if like in self._details else event
            times = next((event.whole(name) for name in _AGAIN if event.whole(name)), 1)
            self._folds[part].add(layout.cells(told), event, times)

    @property
    def events(self) -> int:
        """Return how many events of the period are in these sections."""
        return sum(folds.events for folds in self._folds.values())

    def section(self, part: Part, proof: Proof) -> Section:
        """Return a section."""
        layout, folds = LAYOUTS[part], self._folds[part]
        rows = [Row((fold.ref(proof), *cells, fold.when, fold.times)) for cells, fold in folds]
        rows.sort(key=lambda row: -int(row.values[-1] or 0))
        columns = (*map(Column, ("Events", *layout.heads, "When")), Column("Times", Kind.COUNT))
        total = Row((f"{folds.events:,}", "All", *[""] * len(layout.heads), folds.times), "total")
        finding = f"{counted(folds.times, 'time')}, of {counted(len(folds), 'kind')}." if rows else layout.nothing
        notes = [layout.note] if rows and layout.note else []
        return Section(
            part.value, finding, layout.command, Table(columns, rows, total if rows else None, 40), notes=notes
        )

    def looks(self, proof: Proof) -> list[str]:
        """Return what an auditor should look at."""
        lost = [(cells, fold) for cells, fold in self._folds[Part.REFUSED] if fold.first.act == "admission.lost"]
        failed = [fold for _, fold in self._folds[Part.LIMITS] if fold.first.act == "notice.failed"]
        found = [
            f"Answers to schedulers that are not on record: {fold.times:,} (event {fold.ref(proof)})."
            for _, fold in lost
        ]
        if failed:
            where = ", ".join(fold.ref(proof) for fold in failed[:5])
            found.append(f"Notices that reached nobody: {sum(fold.times for fold in failed)} (events {where}).")
        return found

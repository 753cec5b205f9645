"""Requests from asking to their end, and the check that nobody approved their own. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from analytics.compliance.acts import Part, part_of
from analytics.compliance.events import Event, Proof, counted, moment
from analytics.reports.report import Column, Row, Section, Table
from gpuledger.accounting.periods import Period
from gpuledger.rules.approving import person

_BECAME: Final = {
    "approval.grant": "granted",
    "approval.deny": "denied",
    "approval.refuse": "refused by rule",
    "approval.withdraw": "withdrawn",
    "approval.expire": "expired undecided",
    "approval.end": "ended early",
}
_DECIDED: Final = ("approval.approve", "approval.deny", "approval.withdraw", "approval.end")
_HEADS: Final = ("Events", "Request", "Asked by", "Rule, and whom it needs", "Decisions", "Became", "Effect")


@dataclass
class Asked:
    """One request: its events in their order."""

    events: list[Event] = field(default_factory=list)

    def one(self, act: str) -> Event | None:
        """Return its event of an act."""
        return next((event for event in self.events if event.act == act), None)

    @property
    def approved(self) -> list[Event]:
        """Return its approvals."""
        return [event for event in self.events if event.act == "approval.approve"]


class Approvals:
    """All requests of a log that a period has to do with."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._asked: dict[str, Asked] = {}
        self._inside: dict[str, None] = {}

    def take(self, event: Event, *, inside: bool) -> None:
        """Take the next event until the period's end."""
        if part_of(event.act) is Part.APPROVALS:
            self._asked.setdefault(event.subject, Asked()).events.append(event)
            if inside or self._in_force(event):
                self._inside[event.subject] = None

    @property
    def events(self) -> int:
        """Return how many events of the period are about requests."""
        start = self._period.start_us
        return sum(event.at_us >= start for name in self._inside for event in self._asked[name].events)

    def own(self) -> list[tuple[str, Event, Event]]:
        """Return approvals by the person who asked: of which request, its asking, its approval."""
        return [
            (name, request, each)
            for name, request in self._requests()
            for each in self._asked[name].approved
            if person(each.text("by")) == person(request.text("by"))
        ]

    def looks(self, proof: Proof) -> list[str]:
        """Return what an auditor should look at."""
        found = [
            f"{each.text('by')} approved their own {name} (events {proof.ref(request.sequence)} and "
            f"{proof.ref(each.sequence)})."
            for name, request, each in self.own()
        ]
        for name, request in self._requests():
            same = [
                each for each in self._asked[name].approved
                if each.actor == request.actor and person(each.text("by")) != person(request.text("by"))
            ]  # fmt: skip
            if same:
                where = ", ".join(proof.ref(each.sequence) for each in (request, *same))
                found.append(
                    f"{name.capitalize()} was asked for and approved through one identity, {request.actor} "
                    f"(events {where})."
                )
            granted = self._asked[name].one("approval.grant")
            if granted and request.text("needs") and not self._asked[name].approved:
                found.append(
                    f"{name.capitalize()} was granted without an approval (event {proof.ref(granted.sequence)})."
                )
        return found

    def section(self, proof: Proof) -> Section:
        """Return every request, with the finding about people's own."""
        rows = [self._row(name, self._asked[name], proof) for name in self._inside]
        approvals = sum(len(self._asked[name].approved) for name in self._inside)
        own = len(self.own())
        checked = f"{own} of them by who asked." if own else "nobody approved their own."
        finding = (
            f"{counted(len(rows), 'request')}, {counted(approvals, 'approval')}; checked: {checked}"
            if rows
            else "Nobody asked for any."
        )
        command = "gpuledger approval list"
        return Section(Part.APPROVALS.value, finding, command, Table(tuple(map(Column, _HEADS)), rows, shown=200))

    def _requests(self) -> list[tuple[str, Event]]:
        found = [(name, self._asked[name].one("approval.request")) for name in self._inside]
        return [(name, event) for name, event in found if event]

    def _in_force(self, event: Event) -> bool:
        to_us = event.instant("to") if event.act == "approval.grant" else None
        return to_us is not None and to_us > self._period.start_us

    def _row(self, name: str, asked: Asked, proof: Proof) -> Row:
        request = asked.one("approval.request")
        last = next((e for e in reversed(asked.events) if e.act in _BECAME), None)
        wanted = " ".join(filter(None, (request.text("kind"), request.text("amount"), "for", request.text("owner")))) \
            if request else ""  # fmt: skip
        rule = request.text("rule") or "no rule: the default" if request else ""
        needs = request.text("needs") if request else ""
        return Row(
            (
                ", ".join(proof.ref(event.sequence) for event in asked.events),
                f"{name}: {wanted}".rstrip(": "),
                f"{request.text('by')}, {moment(request.at_us)}: {request.text('why')}"
                if request
                else "before the log",
                f"{rule}; {needs or 'nobody'}",
                "; ".join(_decision(event) for event in asked.events if event.act in _DECIDED) or "none",
                f"{_BECAME[last.act]}, {moment(last.at_us)}" if last else "waiting",
                _effect(asked),
            )
        )


def _decision(event: Event) -> str:
    why = f" ({event.text('why')})" if event.text("why") else ""
    return f"{event.act.removeprefix('approval.')} by {event.text('by')}, {moment(event.at_us)}{why}"


def _effect(asked: Asked) -> str:
    granted, ended = asked.one("approval.grant"), asked.one("approval.end")
    if granted is None:
        return "none"
    until = ended.at_us if ended else granted.instant("to")
    lasts = f"until {moment(until)}" if until is not None else ""
    return " ".join(filter(None, (granted.text("made"), lasts))) or "granted"

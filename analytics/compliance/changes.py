"""What changed, and what became of bills: each act with who did it, and the approval or the rule behind it. Pure."""

from __future__ import annotations

from typing import Final

from analytics.compliance.acts import Part, part_of
from analytics.compliance.events import Event, Proof, counted, moment, words
from analytics.reports.report import Column, Row, Section, Table
from gpuledger.rules.approving import person

SHORT_DIGEST: Final = 12
_ALLOWED: Final = "rules.allow"
_RULED: Final = {  # acts that rules are asked about, and what requests of that kind are called
    "price.import": "price",
    "adjustment.add": "adjustment",
    "dispute.resolve": "dispute",
    "period.close": "exception",
}
_COLUMNS: Final = tuple(map(Column, ("Event", "When", "What", "By", "What it says", "Approval")))


class Changes:
    """Acts that changed something, and what allowed them."""

    def __init__(self) -> None:
        self._done: list[tuple[Event, str]] = []
        self._allowed: dict[str, Event] = {}
        self._granted: dict[str, Event] = {}  # by what was made
        self._rules = ""
        self._allowances = 0  # of the period

    def take(self, event: Event, *, inside: bool) -> None:
        """Take the next event until the period's end."""
        if event.act == _ALLOWED:
            self._allowed[event.subject] = event
            self._allowances += inside
        elif event.act == "approval.grant" and event.text("made"):
            self._granted[event.text("made")] = event
        elif inside and part_of(event.act) in (Part.CHANGES, Part.BILLS):
            self._done.append((event, self._why_not_asked(event)))
        if event.act == "rules.import":
            self._rules = event.subject

    @property
    def events(self) -> int:
        """Return how many events of the period are here: what was done, and what rules allowed directly."""
        return len(self._done) + self._allowances

    def sections(self, proof: Proof) -> list[Section]:
        """Return what changed, and closes, corrections and disputes."""
        return [
            self._section(Part.CHANGES, "Nothing changed.", "gpuledger audit list --act price.import", proof),
            self._section(
                Part.BILLS,
                "Nothing was closed, corrected or disputed.",
                "gpuledger audit list --act period.close",
                proof,
            ),
        ]

    def looks(self, proof: Proof) -> list[str]:
        """Return what an auditor should look at."""
        found = [
            f"{event.subject} was closed with an exception: {event.text('exception')} "
            f"(event {proof.ref(event.sequence)})."
            for event, _ in self._done
            if event.act == "period.close" and event.text("exception")
        ]
        opened = {event.subject: event for event, _ in self._done if event.act == "dispute.open"}
        for event, _ in self._done:
            asked = opened.get(event.subject)
            if event.act == "dispute.resolve" and asked and person(asked.text("by")) == person(event.text("by")):
                where = f"events {proof.ref(asked.sequence)} and {proof.ref(event.sequence)}"
                found.append(f"{event.text('by')} decided the {event.subject} that they opened ({where}).")
        return found

    def _section(self, part: Part, nothing: str, command: str, proof: Proof) -> Section:
        done = [(event, why) for event, why in self._done if part_of(event.act) is part]
        rows = [self._row(event, why, proof) for event, why in done]
        asked = sum(_made(event) in self._granted for event, _ in done)
        finding = (
            f"{counted(len(done), 'act')}: {asked:,} with an approval, {len(done) - asked:,} without."
            if done
            else nothing
        )
        return Section(part.value, finding, command, Table(_COLUMNS, rows, shown=200))

    def _row(self, event: Event, why_not: str, proof: Proof) -> Row:
        by = event.text("by") or event.text("closed_by") or event.actor
        who = by if by == event.actor else f"{by} (as {event.actor})"
        granted = self._granted.get(_made(event))
        why = f"{granted.subject} (event {proof.ref(granted.sequence)})" if granted else why_not
        what = f"{event.act.replace('.', ' ')}: {event.subject}"
        return Row((proof.ref(event.sequence), moment(event.at_us), what, who, said(event), why))

    def _why_not_asked(self, event: Event) -> str:
        kind = _RULED.get(event.act)
        by = event.text("by") or event.text("closed_by") or event.actor
        allowed = self._allowed.pop(f"{kind} by {by}", None) if kind else None
        if allowed:
            rule = f'rule "{allowed.text("rule")}"' if allowed.text("rule") else "the default"
            return f"not asked: {rule} of rules {allowed.text('rules')} allows it (event {allowed.sequence})"
        if event.act == "period.close" and not event.text("exception"):
            return "not needed: closed as it should be"
        if not self._rules:
            return "not asked: there were no rules"
        return "not asked" if kind else "not asked: rules are not asked about this"


def said(event: Event) -> str:
    """Return what an event says besides who and what, with a digest cut to its first letters."""
    shown = {name: value for name, value in event.details.items() if name not in ("by", "closed_by") and words(value)}
    return ", ".join(
        f"{name} {words(value)[:SHORT_DIGEST] if name in ('sha256', 'digest') else words(value)}"
        for name, value in shown.items()
    )


def _made(event: Event) -> str:
    """Return what a grant calls that which this event made."""
    return f"period {event.subject}" if event.act == "period.close" else event.subject

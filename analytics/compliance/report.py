"""Composes the compliance report: takes a log event by event, and then says what its period was like. Pure.

Reads, refusals and devices are folded, so that memory grows with what differs. Every event of the period is in exactly
one section; their sum is held against the count, and a difference raises.
"""

from __future__ import annotations

from typing import Final

from analytics.compliance.access import Access
from analytics.compliance.acts import Part, part_of
from analytics.compliance.approvals import Approvals
from analytics.compliance.changes import Changes
from analytics.compliance.events import Event, Proof, counted, moment, parse_event
from analytics.compliance.folding import Folds
from analytics.compliance.often import Often
from analytics.compliance.proving import MOST_APART_US, checkpoints_section, gaps, inside, keys_section, proof_section
from analytics.figures import month
from analytics.reports.report import Column, Fact, Kind, Report, Row, Section, Table
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period, iso
from gpuledger.errors import AuditError, ConservationError

VERIFIES: Final = "verifies"
UNPROVED: Final = "CANNOT BE PROVED"
BROKEN: Final = "DOES NOT VERIFY"
FOOT: Final = (
    "Times are UTC. The first column of each table is the number of the event in the log; gpuledger audit prove DIR "
    "NUMBER gives the hashes that lead from it to the root. A number with \N{BALLOT X} is not proved, and what its "
    "line says proves nothing."
)


class Compliance:
    """Takes the lines of a log, in their order, and makes the report of a period."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self._access, self._approvals = Access(period), Approvals(period)
        self._changes, self._often = Changes(), Often()
        self._acts: Folds[str] = Folds()
        self._keys: list[Event] = []
        self._back: list[Event] = []
        self._unreadable: list[int] = []
        self._lines = 0
        self._first_us: int | None = None
        self._last_us: int | None = None
        self._first: int | None = None  # the place of the period's first event
        self._last = -1

    def take(self, line: bytes) -> None:
        """Take the next line of the log; one that is no event is counted, and named in the report."""
        place, self._lines = self._lines, self._lines + 1
        try:
            event = parse_event(line, place)
        except AuditError:
            self._unreadable.append(place)
            return
        self._first_us = event.at_us if self._first_us is None else min(self._first_us, event.at_us)
        self._last_us = max(self._last_us or 0, event.at_us)
        if event.at_us < self.period.end_us:
            self._until_end(event)

    def report(self, proof: Proof, now_us: int) -> Report:
        """Return the report. `now_us` says whether the period has ended."""
        self._require_all()
        within = range(0) if self._first is None else range(self._first, self._last + 1)
        missing = gaps(proof.heads, self._watched(proof))
        looks = self._looks(proof, within, missing, now_us)
        verdict = _verdict(proof, within)
        counts = (
            f"{counted(self._acts.events, 'event')}, {counted(len(inside(proof.heads, self.period)), 'checkpoint')}"
        )
        things = f"{counted(len(looks), 'thing')} to look at"
        title = f"The audit log of {month(self.period.label)} {verdict}: {counts}, {things}"
        return Report(
            title=title,
            who="Compliance report",
            period=f"{moment(self.period.start_us)} to {moment(self.period.end_us)} UTC",
            standing=self._standing(now_us),
            amount=None,
            currency="",
            finding="" if looks else "There is nothing in particular to look at.",
            facts=[
                Fact("Events", self._acts.events, Kind.COUNT),
                Fact("Events chained", proof.events if proof.bad is None else proof.bad, Kind.COUNT),
                Fact("Under a signature", min(proof.covered, proof.events), Kind.COUNT),
                Fact("Checkpoints that hold", sum(head.holds for head in proof.heads), Kind.COUNT),
                Fact("Log", proof.origin or "not signed"),
            ],
            warnings=looks,
            sections=[
                proof_section(proof, within),
                *self._access.sections(proof),
                *self._changes.sections(proof)[:1],
                self._approvals.section(proof),
                self._often.section(Part.REFUSED, proof),
                *self._changes.sections(proof)[1:],
                *(self._often.section(part, proof) for part in (Part.READS, Part.LIMITS, Part.FLEET)),
                checkpoints_section(proof, self.period, missing),
                keys_section(proof, self._keys),
                self._everything(proof),
            ],
            made_from=proof.root,
            as_of=iso(self._last_us) if self._last_us is not None else None,
            alarm=_alarm(proof, verdict),
            foot=FOOT,
        )

    def _until_end(self, event: Event) -> None:
        within = event.at_us >= self.period.start_us
        for each in (self._access, self._approvals, self._changes, self._often):
            each.take(event, inside=within)
        if event.act == "audit.key":
            self._keys.append(event)
        if within:
            self._acts.add(event.act, event)
            self._first = event.sequence if self._first is None else self._first
            self._last = event.sequence
            if event.act == "clock.back":
                self._back.append(event)

    def _looks(self, proof: Proof, within: range, missing: list[Interval], now_us: int) -> list[str]:
        """Return what an auditor should look at, what weighs most first."""
        found = self._of_the_proof(proof, within)
        found += self._of_the_log(proof, now_us)
        found += [*self._approvals.looks(proof), *self._changes.looks(proof)]
        if missing:
            first = missing[0]
            more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
            found.append(
                f"{counted(len(missing), 'gap')} in the hourly checkpoints: {moment(first.start_us)} to "
                f"{moment(first.end_us)}{more}."
            )
        return [*found, *self._often.looks(proof), *self._access.looks(proof)]

    def _of_the_proof(self, proof: Proof, within: range) -> list[str]:
        found = []
        wrong = [head for head in proof.heads if not head.holds]
        for why in dict.fromkeys(head.why for head in wrong):
            alike = [head for head in wrong if head.why == why]
            found.append(f"{counted(len(alike), 'checkpoint')} of {moment(alike[0].at_us)} and later: {why}.")
        after = within.stop - max(proof.covered, within.start) if len(within) else 0
        if after > 0 and proof.bad is None:
            found.append(
                f"{counted(after, 'event')} from event {max(proof.covered, within.start)} on: no signature covers them."
            )
        fresh = [event for event in self._keys if event.at_us >= self.period.start_us and event is not self._keys[0]]
        return found + [f"Another key signs since {moment(e.at_us)} (event {proof.ref(e.sequence)})." for e in fresh]

    def _of_the_log(self, proof: Proof, now_us: int) -> list[str]:
        found = []
        if self._unreadable:
            where = ", ".join(map(str, self._unreadable[:5]))
            found.append(f"{counted(len(self._unreadable), 'line')} of the log are no events: at {where}.")
        for act, fold in self._acts:
            if part_of(act) is Part.UNKNOWN:
                found.append(
                    f"{counted(fold.events, 'event')} of a kind that this version does not know: {act} "
                    f"(event {fold.ref(proof)})."
                )
        found += [f"The collector's clock went back (event {proof.ref(event.sequence)})." for event in self._back]
        known = [*([self._last_us] if self._last_us is not None else []), *(head.at_us for head in proof.heads)]
        end = min(self.period.end_us, now_us)
        if not known:
            found.append("The log is empty.")
        elif max(known) < end - 2 * MOST_APART_US:
            found.append(f"The log ends at {moment(max(known))}, before the period does.")
        if self._first_us is not None and self._first_us > self.period.start_us:
            found.append(f"The log begins at {moment(self._first_us)}, after the period does.")
        return found

    def _standing(self, now_us: int) -> str:
        until = f"; log until {moment(self._last_us)}" if self._last_us is not None else "; the log is empty"
        return (
            "provisional: the period has not ended" if now_us < self.period.end_us else "the period has ended"
        ) + until

    def _watched(self, proof: Proof) -> Interval:
        """Return the part of the period that the log covers."""
        if self._first_us is None:
            return Interval(self.period.start_us, self.period.start_us)
        start_us = min(max(self.period.start_us, self._first_us), self.period.end_us)
        known = max([self._last_us or 0, *(head.at_us for head in proof.heads)])
        return Interval(start_us, max(start_us, min(self.period.end_us, known)))

    def _everything(self, proof: Proof) -> Section:
        rows = [Row((fold.ref(proof), act, part_of(act).value, fold.events)) for act, fold in sorted(self._acts)]
        columns = (*map(Column, ("Events", "Act", "Shown under")), Column("Count", Kind.COUNT))
        total = Row(("", "All", "", self._acts.events), "total")
        finding = (
            f"{counted(self._acts.events, 'event')} of {counted(len(rows), 'kind')}; each is in one section."
            if rows
            else "No event."
        )
        return Section(
            "Every act of the period", finding, "gpuledger audit list --limit 100000",
            Table(columns, rows, total if rows else None, 100),
        )  # fmt: skip

    def _require_all(self) -> None:
        shown = self._often.events + self._approvals.events + self._changes.events + self._access.events
        other = sum(fold.events for act, fold in self._acts if part_of(act) in (Part.LOG, Part.UNKNOWN))
        if shown + other != self._acts.events:
            raise ConservationError(f"the report shows {shown + other} events of {self._acts.events}")


def _verdict(proof: Proof, within: range) -> str:
    if proof.bad is not None or any(not head.holds for head in proof.heads if proof.keys):
        return BROKEN
    signed = any(head.holds for head in proof.heads)
    return VERIFIES if signed and (not len(within) or proof.covered > within.start) else UNPROVED


def verifies(report: Report) -> bool:
    """Tell whether what a report is of was verified."""
    return not report.alarm


def _alarm(proof: Proof, verdict: str) -> str:
    if verdict == VERIFIES:
        return ""
    if verdict == UNPROVED:
        why = "no checkpoint that one of the given keys signed covers it" if proof.keys else "no public key was given"
        return (
            f"This log cannot be proved: {why}. Its events follow each other, but whoever has the file could have "
            "written them all anew."
        )
    wrong = next((head.why for head in proof.heads if not head.holds), "")
    where = f"A checkpoint does not hold: {wrong}."
    if proof.bad is not None:
        where = f"The first event that does not hold is {proof.bad}: {proof.detail}."
    return (
        f"This log does not verify. {where} Lines marked \N{BALLOT X} come after the last checkpoint that "
        "holds: they prove nothing."
    )

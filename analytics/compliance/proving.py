"""The sections about the proof itself: what was verified, the checkpoints day by day, gaps, and keys. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from analytics.compliance.events import Event, Head, Proof, counted, moment
from analytics.reports.report import Column, Kind, Row, Section, Table
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_HOUR

MOST_APART_US: Final = US_PER_HOUR + US_PER_HOUR // 6  # hourly, and ten minutes for a busy or restarted collector
VERIFY: Final = "gpuledger audit verify DIR --key FILE"


def proof_section(proof: Proof, inside: range) -> Section:
    """Return what was checked. `inside` are the places of the period's events."""
    good = sum(head.holds for head in proof.heads)
    whole = proof.events if proof.bad is None else proof.bad
    chain = f"events 0 to {whole - 1}" if whole else "no event"
    holds = "holds" if proof.bad is None else "does not hold, but for"
    after = max(0, min(len(inside), inside.stop - proof.covered)) if len(inside) else 0
    rows = [
        ("Each event is canonical, numbered, in time, and names the one before", f"{holds} {chain}"),
        (
            "The events are those that each checkpoint was signed over",
            f"{good:,} of {len(proof.heads):,} checkpoints hold",
        ),
        (
            "Checkpoints follow from one another",
            "the same events give the root of each, the older ones first"
            if good > 1
            else "there are not two to compare",
        ),
        ("A checkpoint that was kept elsewhere", _elsewhere(proof.heads)),
        ("Events of the period under a signature", f"{len(inside) - after:,} of {len(inside):,}"),
    ]
    if proof.bad is not None:
        rows.append(("First event that does not hold", f"{proof.bad}: {proof.detail}"))
    finding = "All of it holds." if good else "Nothing here proves it."
    if proof.bad is not None:
        finding = f"No: {proof.detail}."
    elif good < len(proof.heads) and proof.keys:
        finding = "No: a checkpoint does not hold."
    table = Table((Column("Check"), Column("Result")), [Row(row) for row in rows])
    note = "It proves that the log has not changed since it was signed, not that what was written was true."
    return Section("Does the log verify?", finding, VERIFY, table, notes=[note])


def _elsewhere(heads: Sequence[Head]) -> str:
    kept = [head for head in heads if head.elsewhere]
    if not kept:
        return "none was given: those of the log's own folder were used"
    oldest = min(kept, key=lambda head: (head.size, head.at_us))
    held = sum(head.holds for head in kept)
    return f"{held:,} of {len(kept):,} hold; the oldest is of {moment(oldest.at_us)}, over {oldest.size:,} events"


def gaps(heads: Sequence[Head], watched: Interval) -> list[Interval]:
    """Return where no checkpoint was made for more than an hour, in the part of the period that the log covers."""
    counted = [head for head in heads if head.holds] or [head for head in heads if head.at_us]
    times = sorted(head.at_us for head in counted if head.at_us < watched.end_us)
    before = [at_us for at_us in times if at_us < watched.start_us]
    since = before[-1] if before else watched.start_us
    found = []
    for at_us in [*(each for each in times if each >= watched.start_us), watched.end_us]:
        if at_us - since > MOST_APART_US:
            found.append(Interval(since, at_us))
        since = max(since, at_us)
    return found


def checkpoints_section(proof: Proof, period: Period, missing: Sequence[Interval]) -> Section:
    """Return checkpoints by day of UTC, and the gaps between them."""
    days: dict[str, list[Head]] = defaultdict(list)
    for head in inside(proof.heads, period):
        days[moment(head.at_us)[:10]].append(head)
    rows = [
        Row(
            (
                day,
                len(found),
                sum(head.holds for head in found),
                f"{min(head.size for head in found):,} to {max(head.size for head in found):,}",
                ", ".join(sorted({head.key for head in found})),
                "; ".join(sorted({head.why for head in found if head.why})),
            )
        )
        for day, found in sorted(days.items())
    ]
    columns = (
        Column("Day, UTC"),
        Column("Made", Kind.COUNT),
        Column("Hold", Kind.COUNT),
        Column("Over how many events"),
        Column("Key"),
        Column("What is wrong"),
    )
    count = sum(len(found) for found in days.values())
    finding = f"{counted(count, 'checkpoint')} in the period, " if count else "No checkpoint was made in the period, "
    finding += f"{counted(len(missing), 'gap')} of more than an hour." if missing else "no gap of more than an hour."
    notes = [f"No checkpoint from {moment(gap.start_us)} to {moment(gap.end_us)}." for gap in missing[:20]]
    notes += [f"{len(missing) - 20} more gaps."] if len(missing) > 20 else []
    return Section("Checkpoints", finding, "gpuledger audit export DIR", Table(columns, rows, shown=100), notes=notes)


def keys_section(proof: Proof, used: Sequence[Event]) -> Section:
    """Return which keys signed since when, and which of them this report was verified with."""
    rows = [
        Row(
            (
                proof.ref(event.sequence),
                moment(event.at_us),
                event.subject,
                "yes" if event.subject in proof.keys else "no",
                sum(event.subject.startswith(head.key) for head in proof.heads if head.key),
            )
        )
        for event in used
    ]
    columns = (
        *map(Column, ("Event", "Signs since", "Fingerprint (SHA-256)", "Given to verify")),
        Column("Signed", Kind.COUNT),
    )
    strange = [key for key in proof.keys if key not in {event.subject for event in used}]
    notes = [f"The given key {key} is not on record in this log." for key in strange]
    finding = (
        f"{len(used)} keys have signed since the log began." if len(used) > 1 else f"{len(used)} key signs this log."
    )
    return Section("Keys", finding, "gpuledger audit list --act audit.key", Table(columns, rows, shown=50), notes=notes)


def inside(heads: Sequence[Head], period: Period) -> list[Head]:
    """Return the checkpoints that were made in a period."""
    return [head for head in heads if period.start_us <= head.at_us < period.end_us]

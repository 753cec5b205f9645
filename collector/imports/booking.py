"""What of a job still has to be booked, given what the ledger holds of it: nothing twice, nothing edited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from collector.imports.jobs import JobRecord
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.periods import iso


class BookedRun(NamedTuple):
    """A run of a job as the ledger remembers it: booked over `[started_us, booked_until_us)`."""

    part: str
    started_us: int
    booked_until_us: int
    ended: bool
    gpus: int


class Outcome(Enum):
    """What became of a record."""

    NEW = "new"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"


class Booking(NamedTuple):
    """The intervals to book, the run to remember (None: as it was) and, where facts disagree, how."""

    outcome: Outcome
    intervals: Sequence[Interval] = ()
    run: BookedRun | None = None
    disagreement: str = ""


def decide_booking(record: JobRecord, until_us: int, known: Iterable[BookedRun]) -> Booking:
    """Return what to do with a record that is booked up to `until_us`, its end or the log's horizon.

    `known` holds the runs of the same job. A run is the same where it starts at the same instant. One that goes on is
    booked further; one that now ends before what is booked, or with other GPUs, is a conflict and stays as it is. Runs
    of one job never hold its GPUs twice: where a run overlaps another one, only the rest is booked, and it is reported.
    """
    related = [run for run in known if run.part == record.part or not (run.part and record.part)]
    same = next((run for run in related if run.part == record.part and run.started_us == record.start_us), None)
    others = [run for run in related if run is not same]
    if same is None:
        return _book(record, record.start_us, until_us, others, Outcome.NEW)
    return _go_on(record, until_us, same, others)


def _go_on(record: JobRecord, until_us: int, same: BookedRun, others: list[BookedRun]) -> Booking:
    if same.gpus != record.gpus:
        return _conflict(record, f"is booked with {same.gpus} GPUs, and now has {record.gpus}")
    ended = record.end_us is not None
    if until_us > same.booked_until_us and (ended or not same.ended):
        return _book(record, same.booked_until_us, until_us, others, Outcome.EXTENDED)
    if until_us < same.booked_until_us and ended:
        return _conflict(record, f"is booked until {iso(same.booked_until_us)}, and now ends {iso(until_us)}")
    if ended and not same.ended:
        return Booking(Outcome.UNCHANGED, run=same._replace(ended=True))
    return Booking(Outcome.UNCHANGED)


def _book(record: JobRecord, from_us: int, until_us: int, others: list[BookedRun], outcome: Outcome) -> Booking:
    if until_us <= from_us:
        return Booking(Outcome.UNCHANGED)
    wanted = Interval(from_us, until_us)
    taken = [Interval(run.started_us, run.booked_until_us) for run in others]
    missing = gaps(taken, wanted) if taken else [wanted]
    run = BookedRun(record.part, record.start_us, until_us, record.end_us is not None, record.gpus)
    overlap_us = wanted.length_us - sum(interval.length_us for interval in missing)
    disagreement = ""
    if overlap_us:
        disagreement = _words(
            record, f"ran {overlap_us / 1e6:,.0f} s that another run of it has booked; the rest counts"
        )
    return Booking(outcome if missing else Outcome.CONFLICT, missing, run, disagreement)


def _conflict(record: JobRecord, how: str) -> Booking:
    return Booking(Outcome.CONFLICT, disagreement=_words(record, f"{how}: left as booked"))


def _words(record: JobRecord, what: str) -> str:
    return f"job {record.job}, started {iso(record.start_us)}, {what}"

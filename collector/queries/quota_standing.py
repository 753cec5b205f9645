"""Quotas as answers: where each stands, the book, and what a file would make of them."""

from __future__ import annotations

import msgspec

from collector.governance.owners import known_nodes
from collector.governance.quota_books import import_quotas, newest_quotas
from collector.governance.quota_positions import PlacedQuota, peaks, stand_of_quotas
from collector.governance.quota_stages import evaluate_stages
from collector.ledger.store import Ledger
from collector.ledger.trial import trial
from collector.pricing.records import FileFormat
from collector.queries.figures import hours, instant
from collector.rating import rate_dirty
from gpuledger.accounting.admitting import strictest
from gpuledger.accounting.periods import iso
from gpuledger.accounting.quotas import DEVICES, Lane, Quota, Raise, counted, percent, stage_key
from gpuledger.accounting.units import US_PER_HOUR


class QuotaStandRow(msgspec.Struct, frozen=True, rename={"from_": "from", "raised": "raise"}):
    """One quota in one period `[from, to)`: in GPUs held now (`of` is devices), or in GPU-hours of the period.

    Of GPUs the period is the month in which stages are recorded, `peak` the highest mean of an hour in it, and
    `unobserved` those of devices that were held when they were last heard of. Of GPU-hours `unobserved` is time that
    nobody watched. What is used above `limit` and `raise` is `borrowed`, or `beyond` what anybody lends; `lent` is had
    by others; `room` is how much more fits. `percent` is used of limit and raise. `stage` is the highest stage that is
    reached now, `action` the strictest of what the reached ones do; `new_stages` are not on record yet.
    """

    owner: str
    model: str
    of: str
    period: str
    from_: str
    to: str
    limit: float
    raised: float
    used: float
    percent: str | None
    borrowed: float
    lent: float
    beyond: float
    room: float
    peak: float | None
    unobserved: float
    stage: str
    action: str
    new_stages: list[str]


class QuotaStanding(msgspec.Struct, frozen=True):
    """Where all quotas of the newest book stand, in its order; GPUs are those held at `as_of`, as far as was reported.

    `notes` say which approved raises raise nothing, and why.
    """

    version: int
    at: str
    as_of: str | None
    zone: str
    rows: list[QuotaStandRow]
    notes: list[str]


class QuotaBookRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One entry of the book, numbered from 1. `borrow` and `lend`: at most so much, or `all`."""

    entry: int
    owner: str
    model: str
    of: str
    period: str
    amount: str
    borrow: str
    lend: str
    stages: list[str]
    from_: str | None
    to: str | None


class QuotaBookAnswer(msgspec.Struct, frozen=True):
    """The newest quota book; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    rows: list[QuotaBookRow]


class QuotaTrial(msgspec.Struct, frozen=True):
    """What an import would do; nothing was stored. `rows` is where each quota would stand."""

    version: int
    entries: int
    changed: bool
    rows: list[QuotaStandRow]
    warnings: list[str]


class QuotaEvaluationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing has to be said: all quotas are looked at."""


class QuotaCrossingRow(msgspec.Struct, frozen=True):
    """A stage that a quota reached in a period."""

    quota: str
    period: str
    stage: str


class QuotaEvaluation(msgspec.Struct, frozen=True):
    """What was recorded: every stage once a period."""

    rows: list[QuotaCrossingRow]


def quota_standing(ledger: Ledger) -> QuotaStanding:
    """Return where all quotas stand now; a limited ledger has those of the nodes that it sees the whole of."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        stand = stand_of_quotas(session.whole, ledger.calendar, now_us)
        most = peaks(session.whole, stand)
        placed, lost = stand.placed, stand.lost
        if session.seen is not None:
            mine = known_nodes(session)
            placed = tuple(each for each in placed if each.quota.owner in mine)
            lost = tuple(each for each in lost if each.owner in mine)
    rows = [_row(each, most.get(each.quota.key)) for each in placed]
    return QuotaStanding(
        version=stand.version,
        at=iso(now_us),
        as_of=instant(stand.as_of_us or None),
        zone=ledger.calendar.zone,
        rows=rows,
        notes=[_without_effect(each) for each in lost],
    )


def quota_book(ledger: Ledger) -> QuotaBookAnswer:
    """Return the newest quota book."""
    with ledger.snapshot() as session:
        version, quotas = newest_quotas(session, ledger.calendar.days)
    if not version.number:
        return QuotaBookAnswer(None, None, None, [])
    rows = [_entry(number, each) for number, each in enumerate(quotas, 1)]
    return QuotaBookAnswer(version.number, iso(version.imported_us), version.source, rows)


def try_quotas(ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str) -> QuotaTrial:
    """Return where the quotas of a file would stand. Raises what the import would raise."""
    rate_dirty(ledger)
    with trial(ledger) as trying:
        report = import_quotas(trying, content, as_format, source=source, imported_us=ledger.now_us())
        rows = quota_standing(trying).rows
    return QuotaTrial(report.version, report.entries, report.changed, rows, report.warnings)


def evaluate_quotas(ledger: Ledger) -> QuotaEvaluation:
    """Rate what waits, look at all quotas, and return what was recorded."""
    rate_dirty(ledger)
    found, _ = evaluate_stages(ledger)
    return QuotaEvaluation([QuotaCrossingRow(*each) for each in found])


def _row(each: PlacedQuota, peak_part_us: int | None) -> QuotaStandRow:
    quota, position = each.quota, each.position
    millis = position.percent_millis()
    lane = quota.lane
    return QuotaStandRow(
        owner=quota.owner,
        model=lane.model,
        of=lane.of,
        period=each.period.label,
        from_=iso(each.period.start_us),
        to=iso(each.period.end_us),
        limit=_amount(lane, quota.owns),
        raised=_amount(lane, position.raised),
        used=_amount(lane, position.used),
        percent=None if millis is None else f"{percent(millis):.1f}",
        borrowed=_amount(lane, position.dealt.borrowed),
        lent=_amount(lane, position.dealt.lent),
        beyond=_amount(lane, position.dealt.beyond),
        room=_amount(lane, position.room),
        peak=None if peak_part_us is None else hours(peak_part_us),
        unobserved=_amount(lane, each.unobserved),
        stage=stage_key(each.reached[-1]) if each.reached else "",
        action=strictest([stage.action for stage in each.reached]),
        new_stages=[stage_key(stage) for stage in each.new],
    )


def _entry(number: int, quota: Quota) -> QuotaBookRow:
    return QuotaBookRow(
        entry=number,
        owner=quota.owner,
        model=quota.lane.model,
        of=quota.lane.of,
        period=quota.lane.period,
        amount=counted(quota.lane, quota.owns),
        borrow="all" if quota.borrow is None else counted(quota.lane, quota.borrow),
        lend="all" if quota.lend is None else counted(quota.lane, quota.lend),
        stages=[f"{stage_key(each)}{', tells ' + ', '.join(each.tell) if each.tell else ''}" for each in quota.stages],
        from_=instant(quota.from_us),
        to=instant(quota.to_us),
    )


def _amount(lane: Lane, amount: int) -> float:
    """Return an amount as answers show it: GPUs, or GPU-hours."""
    return hours(amount * US_PER_HOUR if lane.of == DEVICES else amount)


def _without_effect(lost: Raise) -> str:
    of = "GPUs" if lost.of == DEVICES else "GPU-hours"
    model = f" of {lost.model}" if lost.model else ""
    return f"{lost.name} raises no quota: {lost.owner} has none that counts {of}{model} as it says"

"""Free tiers: what a team has free in a month, in GPU-hours or in money, of the time that one entry speaks of.

Free hours are taken at the mean cost of all hours that the tier is for, so the order of a team's jobs changes nothing.
A period that is not a calendar month has the part of each month's allowance that it has of the month.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from gpuledger.accounting.basis import Shift
from gpuledger.accounting.held import Sums, Team
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.moves import Move, in_hours, unpriced_note
from gpuledger.accounting.periods import Period, month_of
from gpuledger.accounting.policies import USAGE, FreeTier
from gpuledger.accounting.policybook import PolicyBook
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.validity import Validity

_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_Place = tuple[str, str, str]  # project, model, MIG profile


class _Bucket:
    """What one team had of the time that one entry has a free tier for."""

    def __init__(self, tier: FreeTier) -> None:
        self.tier = tier
        self.part_us = 0
        self.unpriced_part_us = 0
        self.quanta: defaultdict[_Place, int] = defaultdict(int)


class _Free(NamedTuple):
    quanta: int
    words: str


def free_moves(sums: Iterable[Sums], shifted: Iterable[Shift], book: PolicyBook, period: Period) -> list[Move]:
    """Return what free tiers take off teams' bills, after the basis that they are billed by."""
    by_basis = {shift.sums: shift for shift in shifted}
    buckets: dict[tuple[Team, int], _Bucket] = {}
    for row in sums:
        if not row.owned or not row.held:
            continue
        entry, tier = book.free_tier(row.scope, row.spell_us)
        if tier == FreeTier():
            continue
        _add(buckets.setdefault((row.owner, entry), _Bucket(tier)), row, by_basis.get(row))
    moves: list[Move] = []
    for (owner, entry), bucket in sorted(buckets.items(), key=lambda item: item[0]):
        share = allowed(period, book.entries[entry - 1].validity)
        moves += _moves(owner, bucket, share, period.interval)
    return moves


def allowed(period: Period, validity: Validity) -> tuple[int, int]:
    """Return which share of a month's allowance a period has while an entry holds, as numerator and denominator.

    A period that is called after a month is that whole month, in whatever zone it was cut.
    """
    start_us = max(period.start_us, validity.from_us or period.start_us)
    end_us = min(period.end_us, validity.to_us if validity.to_us is not None else period.end_us)
    if _MONTH.fullmatch(period.label):
        return max(0, end_us - start_us), period.end_us - period.start_us
    over, under = 0, 1
    at_us = start_us
    while at_us < end_us:
        month = month_of(at_us)
        length_us = month.end_us - month.start_us
        held_us = min(end_us, month.end_us) - at_us
        over, under = over * length_us + held_us * under, under * length_us
        at_us = month.end_us
    return over, under


def _add(bucket: _Bucket, row: Sums, shift: Shift | None) -> None:
    by_usage = shift is not None and shift.basis == USAGE
    priced_us = row.part_us - row.unpriced_part_us
    bucket.part_us += row.active_part_us + row.unseen_part_us if by_usage else priced_us
    bucket.unpriced_part_us += row.unpriced_part_us
    bucket.quanta[row.project, row.model, row.mig_profile] += row.cost_quanta + (shift.quanta if shift else 0)


def _moves(owner: Team, bucket: _Bucket, share: tuple[int, int], during: Interval) -> list[Move]:
    places = sorted(bucket.quanta)
    costs = [bucket.quanta[place] for place in places]
    free = _free(bucket, sum(costs), share)
    note = unpriced_note(bucket.unpriced_part_us)
    return [
        Move(owner, *place, 0, 0, -quanta, free.words + note, f"free for teams: {free.words}{note}", during)
        for place, quanta in zip(places, split_exactly(free.quanta, costs), strict=True)
        if quanta or note
    ]


def _free(bucket: _Bucket, cost_quanta: int, share: tuple[int, int]) -> _Free:
    over, under = share
    if bucket.tier.part_us is not None:
        allowance_us = bucket.tier.part_us * over // under
        free_us = min(allowance_us, bucket.part_us)
        quanta = split_exactly(cost_quanta, [free_us, bucket.part_us - free_us])[0] if bucket.part_us else 0
        return _Free(quanta, f"{in_hours(free_us)} free of {in_hours(bucket.part_us)}")
    allowance = (bucket.tier.quanta or 0) * over // under
    return _Free(min(allowance, cost_quanta), f"the first {from_quanta(allowance):,.2f} are free")

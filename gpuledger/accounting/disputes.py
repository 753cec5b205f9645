"""What a decided dispute gives back: a share of what is in question as it is now, never more than that. Pure.

A decision is about a charge, not about a number: it is held against what the charge comes to whenever a bill is closed,
and a bill gets the difference to what earlier ones gave back. So late data under a decided dispute neither gives back
more than was charged nor leaves a credit for a charge that was taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from gpuledger.accounting.split import split_exactly

HUNDRED_PERCENT: Final = 100 * 10**6  # in millionths of a per cent


class Decision(StrEnum):
    """What was decided about a dispute."""

    UPHELD = "upheld"  # the owner does not pay the charge
    PARTLY = "partly"  # the owner pays a part of it
    REJECTED = "rejected"  # the charge stands


class Resolution(NamedTuple):
    """A decision; of one that holds partly, either the amount that is given back at most, or how much of the charge."""

    decision: Decision
    amount_quanta: int | None = None
    percent: Decimal | None = None


class About(NamedTuple):
    """What one line of a bill is about."""

    project: str
    model: str
    mig_profile: str
    state: int


def granted(resolution: Resolution, in_question: Mapping[About, int]) -> dict[About, int]:
    """Return how many quanta of each amount `in_question` a resolution gives back; the sum is rounded once.

    What is negative (it was taken back already) counts as nothing. A fixed amount is capped by what there is.
    """
    amounts = {about: max(0, quanta) for about, quanta in in_question.items()}
    total = share(resolution, sum(amounts.values()))
    if not total:
        return dict.fromkeys(amounts, 0)
    return dict(zip(amounts, split_exactly(total, list(amounts.values())), strict=True))


def share(resolution: Resolution, whole_quanta: int) -> int:
    """Return how much of `whole_quanta` (not negative) a resolution gives back, half to even."""
    if resolution.decision is Decision.REJECTED:
        return 0
    if resolution.amount_quanta is not None:
        return min(resolution.amount_quanta, whole_quanta)
    if resolution.percent is None:
        return whole_quanta
    millionths = int(resolution.percent.scaleb(6))
    found, rest = divmod(whole_quanta * millionths, HUNDRED_PERCENT)
    return found + (2 * rest > HUNDRED_PERCENT or (2 * rest == HUNDRED_PERCENT and found % 2 == 1))


def due(granted_now: Mapping[About, int], posted: Mapping[About, int]) -> dict[About, int]:
    """Return what the next bill gives back (negative: takes again), so that all bills together give what is granted."""
    every = {**dict.fromkeys(posted, 0), **dict.fromkeys(granted_now, 0)}
    found = {about: granted_now.get(about, 0) - posted.get(about, 0) for about in every}
    return {about: quanta for about, quanta in found.items() if quanta}

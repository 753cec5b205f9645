"""What a quota book allows beyond the one before it: GPUs or GPU-hours that are added, limits that go, looser ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

from gpuledger.accounting.book_entries import by_key, holding, stops_less, turns
from gpuledger.accounting.budgets import PERIODS, named_period
from gpuledger.accounting.quotas import Lane, Quota


class QuotaGain(NamedTuple):
    """What one quota allows more, in the unit of its lane (of one that is new, all of it); None: no limit is left.

    `loosened`: it may borrow more, lends more to others, or a stage that held or blocked work does so later or not.
    """

    owner: str
    lane: Lane
    added: int | None
    loosened: bool


def quota_gains(before: Sequence[Quota], after: Sequence[Quota], at_us: int, zone: tzinfo) -> list[QuotaGain]:
    """Return which quotas allow more at any instant from `at_us` on, in the order of the books; the most counts.

    What is over counts for nothing: entries that ended, and FROM..TO that lie before.
    """
    old, new = (by_key(_coming(each, at_us, zone)) for each in (before, after))
    found = (_gain(old.get(key, []), new.get(key, []), at_us) for key in dict.fromkeys([*old, *new]))
    return [each for each in found if each is not None]


def added_of(found: Iterable[QuotaGain]) -> tuple[int, str] | None:
    """Return how much is added in all, and of what (`devices`, `gpu_hours`); None where that is no one amount.

    It is none where a limit goes, where anything is loosened (how much more that lets through depends on what others
    leave), and where some are of GPUs and some of GPU-hours.
    """
    gains = list(found)
    of = {each.lane.of for each in gains}
    if len(of) != 1 or any(each.added is None or each.loosened for each in gains):
        return None
    return sum(each.added or 0 for each in gains), of.pop()


def _coming(quotas: Sequence[Quota], at_us: int, zone: tzinfo) -> list[Quota]:
    return [
        each
        for each in quotas
        if (each.to_us is None or each.to_us > at_us)
        and (each.lane.period in ("", *PERIODS) or named_period(each.lane.period, at_us, zone).end_us > at_us)
    ]


def _gain(before: list[Quota], after: list[Quota], at_us: int) -> QuotaGain | None:
    most: int | None = 0
    loosened = False
    for instant_us in turns([*before, *after], at_us):
        old, new = (holding(each, instant_us) for each in (before, after))
        if new is None:
            most = most if old is None else None
            continue
        if most is not None:
            most = max(most, new.owns - (old.owns if old else 0))
        loosened = loosened or _looser(old, new)
    if most == 0 and not loosened:
        return None
    one = [*before, *after][0]
    return QuotaGain(one.owner, one.lane, most, loosened)


def _looser(old: Quota | None, new: Quota) -> bool:
    """Return whether it may borrow more than before, or others more of it, or it is stopped less."""
    if old is None:
        return new.borrow != 0
    return _more(old.borrow, new.borrow) or _more(old.lend, new.lend) or stops_less(old, new)


def _more(old: int | None, new: int | None) -> bool:
    """Return whether a limit is higher than another; None is no limit."""
    return old is not None and (new is None or new > old)

"""What a budget book allows beyond the one before it: money that is added, limits that go, stages that stop less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

from gpuledger.accounting.book_entries import by_key, holding, stops_less, turns
from gpuledger.accounting.budgets import PERIODS, Budget, period_at


class Gain(NamedTuple):
    """What one budget allows more: quanta (of a budget that is new, all of it); None where no limit is left.

    `loosened`: a stage that held or blocked work does so later or not at all.
    """

    owner: str
    period: str
    currency: str
    added_quanta: int | None
    loosened: bool

    @property
    def words(self) -> str:
        """Return what it is, without the amount."""
        if self.added_quanta is None:
            return "has no limit any more"
        return "has more to spend" if self.added_quanta else "is stopped later"


def gains(before: Sequence[Budget], after: Sequence[Budget], at_us: int, zone: tzinfo) -> list[Gain]:
    """Return which budgets allow more at any instant from `at_us` on, in the order of the books; the most counts.

    What is over counts for nothing: entries that ended, and FROM..TO that lie before.
    """
    old, new = (by_key(_coming(each, at_us, zone)) for each in (before, after))
    found = (_gain(old.get(key, []), new.get(key, []), at_us) for key in dict.fromkeys([*old, *new]))
    return [each for each in found if each is not None]


def added(found: Iterable[Gain]) -> tuple[int, str] | None:
    """Return how much is added in all, and its currency; None where that is no one amount.

    It is none where a limit goes, where a stage stops less (how much more that lets through nobody knows), and where
    currencies differ.
    """
    gains = list(found)
    currencies = {each.currency for each in gains}
    if len(currencies) != 1 or any(each.added_quanta is None or each.loosened for each in gains):
        return None
    return sum(each.added_quanta or 0 for each in gains), currencies.pop()


def _coming(budgets: Sequence[Budget], at_us: int, zone: tzinfo) -> list[Budget]:
    return [
        each
        for each in budgets
        if (each.to_us is None or each.to_us > at_us)
        and (each.period in PERIODS or period_at(each, at_us, zone).end_us > at_us)
    ]


def _gain(before: list[Budget], after: list[Budget], at_us: int) -> Gain | None:
    most_quanta: int | None = 0
    loosened = False
    for instant_us in turns([*before, *after], at_us):
        old, new = (holding(each, instant_us) for each in (before, after))
        if new is None:
            most_quanta = most_quanta if old is None else None
            continue
        if most_quanta is not None:
            most_quanta = max(most_quanta, new.limit_quanta - (old.limit_quanta if old else 0))
        loosened = loosened or (old is not None and stops_less(old, new))
    if most_quanta == 0 and not loosened:
        return None
    one = [*before, *after][0]
    return Gain(one.owner, one.period, one.currency, most_quanta, loosened)

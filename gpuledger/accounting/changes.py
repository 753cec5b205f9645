"""Why a cost changed from one period to another: price, volume and mix, in whole quanta that sum to the change.

Of one group, and of each thing in it that has a price of its own (an SKU), time and cost of both periods are known:

- **volume**: more or less time altogether, at what the group's hour cost on average before;
- **mix**: the same time on other SKUs, at the prices from before;
- **price**: what the time of now costs more or less than it would have at the prices from before.

Two amounts are worked out, each rounded once, half to even, to a quantum: the time of now at the average price from
before, and the time of now at the prices from before. The three parts are differences of whole quanta, so that nothing
is left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from gpuledger.errors import ConservationError

Sku = tuple[str, ...]


class Spent(NamedTuple):
    """Priced time of one SKU in one period (microseconds x parts of a GPU), and its cost in quanta."""

    part_us: int
    cost_quanta: int


class Change(NamedTuple):
    """The parts of a change of cost, in quanta: their sum is what the cost changed by."""

    price: int
    volume: int
    mix: int

    @property
    def total(self) -> int:
        """Return what the cost changed by."""
        return self.price + self.volume + self.mix

    def plus(self, other: Change) -> Change:
        """Return the sum, part by part."""
        return Change(self.price + other.price, self.volume + other.volume, self.mix + other.mix)


UNCHANGED: Final = Change(0, 0, 0)
Spending = Mapping[Sku, Spent]


def decompose(before: Spending, now: Spending, prices_before: Mapping[Sku, Fraction] | None = None) -> Change:
    """Return why the cost of one group changed.

    An SKU that the group did not have before is valued at what everybody paid for it then (`prices_before`, quanta for
    a microsecond-part), and where nobody had it, at its price of now: it then has no part in the change of price.
    A group that had nothing before, or has nothing now, changed in volume alone. Raises ConservationError on a time
    below 0.
    """
    for spent in (*before.values(), *now.values()):
        if spent.part_us < 0:
            raise ConservationError(
                f"a time of {spent.part_us} cannot be priced", hint="this is a fault of the program"
            )
    time_before, cost_before = _sum(before)
    time_now, cost_now = _sum(now)
    if not time_before or not time_now:
        return Change(0, cost_now - cost_before, 0)
    at_average = round(Fraction(time_now * cost_before, time_before))
    at_prices = round(sum((_worth(sku, spent, before, prices_before or {}) for sku, spent in now.items()), Fraction(0)))
    return Change(price=cost_now - at_prices, volume=at_average - cost_before, mix=at_prices - at_average)


def prices_of(spending: Spending) -> dict[Sku, Fraction]:
    """Return what a microsecond-part of each SKU cost on average."""
    return {sku: Fraction(spent.cost_quanta, spent.part_us) for sku, spent in spending.items() if spent.part_us}


def _worth(sku: Sku, spent: Spent, before: Spending, prices: Mapping[Sku, Fraction]) -> Fraction:
    """Return what the time of now would have cost before."""
    then = before.get(sku)
    if then and then.part_us:
        return Fraction(spent.part_us * then.cost_quanta, then.part_us)
    return spent.part_us * prices[sku] if sku in prices else Fraction(spent.cost_quanta)


def _sum(spending: Spending) -> tuple[int, int]:
    return sum(spent.part_us for spent in spending.values()), sum(spent.cost_quanta for spent in spending.values())

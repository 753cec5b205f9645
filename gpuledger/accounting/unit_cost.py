"""What a thousand requests or tokens cost: a cost by a count, in whole quanta; what cannot be divided has a name."""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import NamedTuple


class Known(enum.StrEnum):
    """Whether there is a cost of a unit, and why not."""

    KNOWN = "known"
    NO_COUNT = "no_count"  # nobody counted what it served
    NOTHING_SERVED = "nothing_served"  # it cost something and served nothing: no cost of a unit, and not zero
    NO_PRICE = "no_price"  # some of its time has no price
    NO_TIME = "no_time"  # counted, but the ledger knows no GPU time of that name


class UnitCost(NamedTuple):
    """The cost of `per` units in quanta, rounded once, half to even; None where it is not known."""

    known: Known
    quanta: int | None


def unit_cost(cost_quanta: int | None, count: int | None, *, per: int = 1_000, priced: bool = True) -> UnitCost:
    """Return what `per` units cost. `cost_quanta` is None where there is no time, `count` where nobody counted.

    Raises ValueError on a count that is negative, and on `per` below 1.
    """
    if per < 1 or (count is not None and count < 0):
        raise ValueError(f"{count} units cannot be divided into parts of {per}")
    if cost_quanta is None and priced:
        return UnitCost(Known.NO_TIME, None)
    if cost_quanta is None or not priced:
        return UnitCost(Known.NO_PRICE, None)
    if count is None:
        return UnitCost(Known.NO_COUNT, None)
    if count == 0:
        return UnitCost(Known.NOTHING_SERVED, None)
    return UnitCost(Known.KNOWN, round(Fraction(cost_quanta * per, count)))

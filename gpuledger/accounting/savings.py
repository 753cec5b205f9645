"""What advice about waste really saved: the waste of an equally long time after it, held against what was stated.

Waste of after is valued at the average price of the waste before, rounded once, half to even, to a quantum: a price
that turned is no saving. What was saved is the difference of whole quanta, negative where there is more waste than
before.
"""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import NamedTuple

from gpuledger.errors import ConservationError


class Result(enum.StrEnum):
    """What became of advice."""

    GONE = "gone"  # who wasted it holds nothing any more: all of it is saved
    SAVED = "saved"  # as much as was stated, or more than its low end
    LESS = "less"  # something, below the low end of what was stated
    NOTHING = "nothing"  # as much waste as before, or more
    UNPRICED = "unpriced"  # some of the waste had no price


class Stated(NamedTuple):
    """Waste that was advised against: its time (microseconds x parts of a GPU), its cost, what of it was certain.

    `low_quanta` and `high_quanta` are None where some of the time had no price.
    """

    part_us: int
    low_quanta: int | None
    high_quanta: int | None


class Saving(NamedTuple):
    """What was really saved, in quanta; None where that is not known."""

    result: Result
    saved_quanta: int | None


def saving(stated: Stated, wasted_after_part_us: int, *, still_there: bool) -> Saving:
    """Return what came of advice; `still_there`: who wasted holds (or is) something in the time after.

    Raises ConservationError on time that is negative, and on advice about no time.
    """
    if stated.part_us <= 0 or wasted_after_part_us < 0:
        raise ConservationError(
            f"advice about {stated.part_us} and {wasted_after_part_us} after it cannot be compared",
            hint="this is a fault of the program",
        )
    if stated.low_quanta is None or stated.high_quanta is None:
        return Saving(Result.UNPRICED, None)
    after_quanta = round(Fraction(stated.high_quanta * wasted_after_part_us, stated.part_us))
    saved = stated.high_quanta - after_quanta
    if not wasted_after_part_us and not still_there:
        return Saving(Result.GONE, saved)
    if saved <= 0:
        return Saving(Result.NOTHING, saved)
    return Saving(Result.SAVED if saved >= stated.low_quanta else Result.LESS, saved)

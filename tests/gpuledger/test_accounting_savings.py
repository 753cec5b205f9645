"""What advice saved: whole quanta at the prices of before, and never more than was stated."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.savings import Result, Stated, saving
from gpuledger.errors import ConservationError

TIMES = st.integers(1, 10**24)
MONEY = st.integers(0, 10**24)


@given(part_us=TIMES, money=st.tuples(MONEY, MONEY).map(sorted), after_us=st.integers(0, 10**24), there=st.booleans())
def test_saved_and_still_wasted_are_what_was_wasted(
    part_us: int, money: list[int], after_us: int, *, there: bool
) -> None:
    """To half a quantum what was saved is the share of the time that is not wasted any more, and its word fits."""
    low, high = money
    found = saving(Stated(part_us, low, high), after_us, still_there=there)
    assert found.saved_quanta is not None
    assert abs(found.saved_quanta - high * (1 - Fraction(after_us, part_us))) <= Fraction(1, 2)
    assert found.saved_quanta <= high
    match found.result:
        case Result.GONE:
            assert (after_us, there, found.saved_quanta) == (0, False, high)
        case Result.SAVED:
            assert found.saved_quanta >= max(low, 1)
        case Result.LESS:
            assert 0 < found.saved_quanta < low
        case _:
            assert (found.result, found.saved_quanta <= 0) == (Result.NOTHING, True)


def test_examples() -> None:
    """Half of it, a quarter where half was certain, more waste than before, all of it, and time without a price."""
    stated = Stated(1_000, 50, 100)
    assert saving(stated, 500, still_there=True) == (Result.SAVED, 50)
    assert saving(stated, 750, still_there=True) == (Result.LESS, 25)
    assert saving(stated, 1_500, still_there=True) == (Result.NOTHING, -50)
    assert saving(stated, 0, still_there=True) == (Result.SAVED, 100)
    assert saving(stated, 0, still_there=False) == (Result.GONE, 100)
    assert saving(Stated(1_000, None, None), 0, still_there=False) == (Result.UNPRICED, None)


@pytest.mark.parametrize(("part_us", "after_us"), [(0, 5), (-1, 0), (5, -1)])
def test_time_that_cannot_be_is_refused(part_us: int, after_us: int) -> None:
    """Advice about no time, and negative time."""
    with pytest.raises(ConservationError):
        saving(Stated(part_us, 1, 1), after_us, still_there=True)

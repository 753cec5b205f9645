"""Cutting usage where a price turns: each part exact, and together all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.turns import Use, cut_at, cut_uses

MINUTE = 60_000_000


@st.composite
def shared(draw: st.DrawFn) -> tuple[Interval, list[Use], list[Interval]]:
    """Return an interval that some holders share wholly, and its pieces between some turns."""
    whole = Interval(0, draw(st.integers(1, MINUTE)))
    weights = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
    uses = [
        Use(held_us, draw(st.none() | st.integers(0, held_us)), draw(st.none() | st.integers(0, 10**9)))
        for held_us in split_exactly(whole.length_us, weights)
    ]
    return whole, uses, cut_at(whole, draw(st.lists(st.integers(-5, MINUTE + 5), max_size=4)))


@given(shared())
def test_no_amount_is_lost_or_made_by_cutting(case: tuple[Interval, list[Use], list[Interval]]) -> None:
    """Over the pieces every amount sums to itself; in a piece the held times sum to its length."""
    whole, uses, pieces = case
    assert sum(piece.length_us for piece in pieces) == whole.length_us
    cut = cut_uses(uses, pieces)
    for piece, parts in zip(pieces, cut, strict=True):
        assert sum(part.held_us for part in parts) == piece.length_us
        assert all(0 <= (part.active_us or 0) <= part.held_us for part in parts)
    for at, use in enumerate(uses):
        mine = [parts[at] for parts in cut]
        assert sum(part.held_us for part in mine) == use.held_us
        for name in ("active_us", "energy_mj"):
            known = [getattr(part, name) for part in mine]
            assert known == [None] * len(mine) if getattr(use, name) is None else sum(known) == getattr(use, name)


def test_a_turn_at_an_edge_cuts_nothing() -> None:
    """Ends are half-open: a price that turns where an interval begins or ends leaves it whole."""
    assert cut_at(Interval(5, 9), [5, 9, 7, 7]) == [Interval(5, 7), Interval(7, 9)]
    assert cut_uses([Use(4, 1, None)], [Interval(5, 9)]) == [[Use(4, 1, None)]]


def test_a_worked_example() -> None:
    """A minute that two hold evenly, cut after a quarter: fifteen seconds are halved, and so are forty-five."""
    pieces = cut_at(Interval(0, MINUTE), [MINUTE // 4])
    cut = cut_uses([Use(MINUTE // 2, MINUTE // 2, 100), Use(MINUTE // 2, 10, None)], pieces)
    assert cut == [
        [Use(7_500_000, 7_500_000, 25), Use(7_500_000, 3, None)],
        [Use(22_500_000, 22_500_000, 75), Use(22_500_000, 7, None)],
    ]

"""Why a cost changed: price, volume and mix sum to the change to the last quantum, and each is what its name says."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.changes import UNCHANGED, Change, Spent, decompose, prices_of
from gpuledger.errors import ConservationError

SKUS = st.tuples(st.sampled_from(["H100", "A100", "T4"]), st.sampled_from(["", "1g.5gb"]))
SPENT = st.builds(Spent, st.integers(0, 10**18), st.integers(0, 10**15)).map(
    lambda spent: spent if spent.part_us else Spent(0, 0)
)
SPENDING = st.dictionaries(SKUS, SPENT, max_size=6)


@given(SPENDING, SPENDING, SPENDING)
def test_parts_sum_to_the_change(before: dict, now: dict, everybody: dict) -> None:
    """Whatever was spent on what, nothing is left over and nothing is made up."""
    found = decompose(before, now, prices_of(everybody))
    assert found.total == sum(s.cost_quanta for s in now.values()) - sum(s.cost_quanta for s in before.values())


@given(SPENDING)
def test_nothing_changed_is_nothing(spending: dict) -> None:
    """A period held against itself has no part of any kind."""
    assert decompose(spending, spending) == UNCHANGED


@given(SPENDING, st.integers(2, 9))
def test_more_of_the_same_is_volume(spending: dict, times: int) -> None:
    """The same work several times over, at the same prices, is neither price nor mix."""
    more = {sku: Spent(spent.part_us * times, spent.cost_quanta * times) for sku, spent in spending.items()}
    found = decompose(spending, more)
    assert (found.price, found.mix) == (0, 0)


@given(SPENDING, st.integers(2, 9))
def test_the_same_time_for_more_is_price(spending: dict, times: int) -> None:
    """Prices that rose alone are neither volume nor mix."""
    dearer = {sku: Spent(spent.part_us, spent.cost_quanta * times) for sku, spent in spending.items()}
    found = decompose(spending, dearer)
    assert (found.volume, found.mix) == (0, 0)


def test_a_move_to_dearer_gpus_is_mix() -> None:
    """Ten hours of T4 at 1 become ten of H100 at 4, of which some was held before: 15 more, all of it mix."""
    before = {("T4",): Spent(10, 10), ("H100",): Spent(10, 40)}
    now = {("T4",): Spent(5, 5), ("H100",): Spent(15, 60)}
    assert decompose(before, now) == Change(price=0, volume=0, mix=15)


def test_all_three_at_once() -> None:
    """10 at 1 and 10 at 4 become 10 at 1 and 30 at 5: 20 more at 2.5 on average, 20 for the mix, 30 for the price."""
    before = {("T4",): Spent(10, 10), ("H100",): Spent(10, 40)}
    now = {("T4",): Spent(10, 10), ("H100",): Spent(30, 150)}
    assert decompose(before, now) == Change(price=30, volume=50, mix=30)


def test_what_is_new_to_a_group_has_the_price_of_others() -> None:
    """An SKU that others had at 4 and that costs 5 now is dearer; one that nobody had is not."""
    before, now = {("T4",): Spent(10, 10)}, {("H100",): Spent(10, 50)}
    assert decompose(before, now, {("H100",): Fraction(4)}) == Change(price=10, volume=0, mix=30)
    assert decompose(before, now) == Change(price=0, volume=0, mix=40)


def test_new_and_gone_groups_are_volume() -> None:
    """Who had nothing before has no price to compare with."""
    assert decompose({}, {("T4",): Spent(10, 10)}) == Change(0, 10, 0)
    assert decompose({("T4",): Spent(10, 10)}, {}) == Change(0, -10, 0)
    assert decompose({}, {}) == UNCHANGED


def test_a_time_below_nothing_is_refused() -> None:
    """It would turn a price around without a word."""
    with pytest.raises(ConservationError, match="time of -1"):
        decompose({("T4",): Spent(-1, 10)}, {})

"""Loans between owners: symmetric, exact, never more than was idle, and each part of a share counted once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.loans import (
    Loan,
    Settled,
    Stake,
    flat_price,
    percent_price,
    settle,
    share_idle,
)
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConservationError

GPU_HOUR = GPU_PARTS * US_PER_HOUR
amounts = st.integers(min_value=0, max_value=100 * GPU_HOUR)
stakes = st.lists(st.builds(Stake, amounts, amounts, st.none() | amounts), max_size=7)


@given(held=stakes, spare=amounts, first=st.booleans())
def test_all_that_was_held_and_every_share_is_somebodys_once(held: list[Stake], spare: int, *, first: bool) -> None:
    """Borrowed is lent; use and capacity are accounted for to the microsecond; nobody lends what it does not leave."""
    capacity = sum(stake.used for stake in held) + spare
    found = settle(held, capacity, unowned_first=first)
    rows = found.rows
    assert (
        sum(row.borrowed for row in rows) == sum(row.lent for row in rows) == sum(loan.amount for loan in found.loans)
    )
    assert sum(row.unlent for row in rows) == sum(row.taken for row in rows)
    assert sum(row.share for row in rows) == min(capacity, sum(stake.share for stake in held)), "shares never exceed it"
    nobodys = capacity - sum(row.share for row in rows)
    idle_of_nobody = nobodys - sum(row.unowned for row in rows)
    assert idle_of_nobody >= 0
    assert sum(row.idle for row in rows) + idle_of_nobody == spare, "all that nobody held is in a share, or is nobody's"
    for stake, row in zip(held, rows, strict=True):
        assert row.used == stake.used
        assert min(row) >= 0
        assert row.own == min(row.used, row.share), "nobody borrows while its own share is free"
        assert stake.most_lent is None or row.lent <= stake.most_lent


@given(stakes, amounts)
def test_pairs_sum_to_what_each_borrowed_and_lent(held: list[Stake], spare: int) -> None:
    """The loans of a borrower are all that it borrowed, those of a lender all that it lent; nobody lends to itself."""
    found = settle(held, sum(stake.used for stake in held) + spare)
    for place, row in enumerate(found.rows):
        assert sum(loan.amount for loan in found.loans if loan.borrower == place) == row.borrowed
        assert sum(loan.amount for loan in found.loans if loan.lender == place) == row.lent
        assert not any(loan.borrower == loan.lender for loan in found.loans)


@given(stakes, amounts)
def test_nothing_depends_on_names(held: list[Stake], spare: int) -> None:
    """In another order everybody is settled as before, but for one unit that a rounding may put elsewhere."""
    capacity = sum(stake.used for stake in held) + spare
    forth, back = settle(held, capacity).rows, settle(held[::-1], capacity).rows[::-1]
    for one, other in zip(forth, back, strict=True):
        assert all(abs(a - b) <= 2 for a, b in zip(one, other, strict=True))


def rows_of(*held: Stake, capacity: int | None, first: bool = False) -> list[Settled]:
    return settle(held, capacity, unowned_first=first).rows


def test_one_above_its_share_borrows_from_those_below() -> None:
    """A has 4 of 8 and holds 7; B has 4 and holds 1: three are on loan."""
    assert rows_of(Stake(7, 4), Stake(1, 4), capacity=8) == [
        Settled(own=4, borrowed=3, unowned=0, unlent=0, lent=0, taken=0, idle=0),
        Settled(own=1, borrowed=0, unowned=0, unlent=0, lent=3, taken=0, idle=0),
    ]


def test_borrowers_and_lenders_share_in_proportion() -> None:
    """Two who are over by 2 and 4 borrow from two who left 3 and 6 of what they have."""
    found = settle([Stake(2), Stake(4), Stake(0, 3), Stake(0, 6)], 12)
    assert [row.borrowed for row in found.rows] == [2, 4, 0, 0]
    assert [row.lent for row in found.rows] == [0, 0, 2, 4]
    assert sorted(found.loans) == [Loan(0, 2, 1), Loan(0, 3, 1), Loan(1, 2, 1), Loan(1, 3, 3)]


def test_what_nobody_owns_is_no_loan() -> None:
    """Beyond all idle shares it is of capacity that nobody owns; with `unowned_first` that is used up before."""
    assert [(row.borrowed, row.unowned) for row in rows_of(Stake(9, 2), Stake(0, 3), capacity=10)] == [(3, 4), (0, 0)]
    found = rows_of(Stake(9, 2), Stake(0, 3), capacity=10, first=True)
    assert [(row.borrowed, row.unowned) for row in found] == [(2, 5), (0, 0)]


def test_a_share_that_does_not_lend_is_taken_without_a_loan() -> None:
    """What is held of it nevertheless has a name of its own, on both sides."""
    assert rows_of(Stake(7, 4), Stake(1, 4, 0), capacity=8) == [
        Settled(own=4, borrowed=0, unowned=0, unlent=3, lent=0, taken=0, idle=0),
        Settled(own=1, borrowed=0, unowned=0, unlent=0, lent=0, taken=3, idle=0),
    ]
    assert [row.lent for row in rows_of(Stake(7, 4), Stake(1, 4, 2), capacity=8)] == [0, 2], "as far as its limit"


def test_what_is_broken_is_nobodys_first_and_then_everybodys() -> None:
    """Of 10 GPUs 8 are shared: two may break; with four more broken each share is half."""
    assert [row.share for row in rows_of(Stake(0, 6), Stake(0, 2), capacity=8)] == [6, 2]
    assert [row.share for row in rows_of(Stake(0, 6), Stake(0, 2), capacity=4)] == [3, 1]


def test_shares_of_an_unknown_capacity_are_taken_at_their_word() -> None:
    """A pool that never said how many GPUs it has shrinks no share."""
    assert [row.share for row in rows_of(Stake(9, 6), Stake(0, 2), capacity=None)] == [6, 2]
    assert [row.unowned for row in rows_of(Stake(9, 6), Stake(0, 2), capacity=None)] == [1, 0]


def test_more_than_there_is_cannot_be_held() -> None:
    """It is a fault of whoever counted, and said."""
    with pytest.raises(ConservationError, match="capacity of 8"):
        settle([Stake(9, 4)], 8)
    assert settle([], 8).rows == []


@given(st.integers(0, 10**15), st.lists(amounts, max_size=5), amounts)
def test_idle_cost_is_moved_and_never_made(cost: int, idle: list[int], unowned: int) -> None:
    """Owners pay no more than there is; where nobody's capacity is idle too, the platform keeps that part."""
    paid = share_idle(cost, idle, sum(idle) + unowned)
    assert 0 <= sum(paid) <= cost
    if not unowned and any(idle):
        assert sum(paid) == cost
    if unowned and not any(idle):
        assert sum(paid) == 0


def test_prices() -> None:
    """A rate is for a GPU-hour, a percentage of what the borrower's own time costs; both half to even."""
    assert flat_price(500_000_000, 3 * GPU_HOUR) == 1_500_000_000
    assert percent_price(Decimal(25), 3 * GPU_HOUR, 7 * GPU_HOUR, 14_000_000_000) == 1_500_000_000
    assert [flat_price(1, GPU_HOUR // 2), flat_price(3, GPU_HOUR // 2)] == [0, 2]

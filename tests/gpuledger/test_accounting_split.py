"""Splitting integers exactly."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.split import split_exactly, spread_exactly

totals = st.integers(0, 10**18)
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


@given(totals, weights)
def test_shares_sum_to_the_whole_and_each_is_within_one_of_its_quota(total: int, parts: list[int]) -> None:
    """No unit is lost or made up, and nobody is a whole unit away from the exact proportion."""
    shares = split_exactly(total, parts)
    assert sum(shares) == total
    whole = sum(parts)
    if whole:
        assert all(abs(share * whole - total * part) < whole for share, part in zip(shares, parts, strict=True))


@given(totals, weights.flatmap(lambda ws: st.tuples(st.just(ws), st.permutations(range(len(ws))))))
def test_order_matters_only_among_equals(total: int, shuffled: tuple[list[int], list[int]]) -> None:
    """Whatever the order of the weights, each weight's shares are the same as a multiset."""
    parts, order = shuffled
    straight = sorted(zip(parts, split_exactly(total, parts), strict=True))
    moved = [parts[i] for i in order]
    assert sum(
        abs(a[1] - b[1])
        for a, b in zip(straight, sorted(zip(moved, split_exactly(total, moved), strict=True)), strict=True)
    ) <= len(parts)
    if len(set(parts)) == len(parts) and len({total * p % (sum(parts) or 1) for p in parts}) == len(parts):
        assert sorted(zip(moved, split_exactly(total, moved), strict=True)) == straight


@given(totals, weights)
def test_a_greater_weight_never_gets_less(total: int, parts: list[int]) -> None:
    """Shares are monotonous in their weights."""
    pairs = sorted(zip(parts, split_exactly(total, parts), strict=True))
    assert all(share <= bigger + (part == more) for (part, share), (more, bigger) in itertools.pairwise(pairs))


def test_what_is_left_over_goes_to_the_largest_remainders_then_to_the_earlier() -> None:
    """10 among 1:1:1 is 4,3,3; among 1:2:4 the remainders decide; all zero is even; a zero among others gets nothing."""
    assert split_exactly(10, [1, 1, 1]) == [4, 3, 3]
    assert split_exactly(10, [1, 2, 4]) == [1, 3, 6]
    assert split_exactly(5, [0, 0]) == [3, 2]
    assert split_exactly(5, [0, 7]) == [0, 5]
    assert split_exactly(5, [0]) == [5]


@pytest.mark.parametrize(("total", "parts"), [(-1, [1]), (1, []), (1, [-1]), (1, [2, -1]), (-1, [0, 0])])
def test_what_cannot_be_split_is_refused(total: int, parts: list[int]) -> None:
    """A negative total, a negative weight or nobody to split among is a ValueError, never a guess."""
    with pytest.raises(ValueError):
        split_exactly(total, parts)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=6),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=6),
)
def test_spreading_is_exact_by_share_and_by_piece(shares: list[int], lengths: list[int]) -> None:
    """The parts of a share sum to it, and a piece gets what splitting the whole by length gives it."""
    pieces = spread_exactly(shares, lengths)
    assert [sum(parts) for parts in zip(*pieces, strict=True)] == shares
    assert [sum(parts) for parts in pieces] == split_exactly(sum(shares), lengths)
    assert all(part >= 0 for parts in pieces for part in parts)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.data())
def test_spreading_what_fits_never_overfills_a_piece(lengths: list[int], data: st.DataObject) -> None:
    """Shares of no more than the whole length give no piece more than its own length."""
    work = data.draw(st.integers(0, sum(lengths)))
    shares = split_exactly(work, data.draw(st.lists(st.integers(0, 100), min_size=1, max_size=5)))
    pieces = spread_exactly(shares, lengths)
    assert all(sum(parts) <= length for parts, length in zip(pieces, lengths, strict=True))

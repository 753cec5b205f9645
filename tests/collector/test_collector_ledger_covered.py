"""Ranges taken so far, and the lives that follow from them, do not depend on the order in which they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.ledger.covered import Covered
from collector.ledger.lives import Life, lives
from gpuledger.accounting.intervals import Interval, merge

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda t: Interval(t[0], t[0] + t[1])), max_size=25
)


@given(ranges=RANGES, asked=st.tuples(st.integers(0, 70), st.integers(1, 9)))
def test_ranges_merge_as_a_union(ranges: list[Interval], asked: tuple[int, int]) -> None:
    """Added one by one they equal the merged union, and an overlap is found exactly where a point is shared."""
    covered: Covered[str] = Covered(("a", *each) for each in ranges)
    union = merge(ranges)
    assert covered.of("a") == union
    start, end = asked[0], asked[0] + asked[1]
    hits = [each for each in union if each.start_us < end and start < each.end_us]
    assert covered.overlap("a", start, end) == (hits[0] if hits else None)
    assert covered.end("a") == (union[-1].end_us if union else None)
    assert covered.of("b") == []


def test_a_life_goes_on_through_a_gap() -> None:
    """Silence ends nothing: what no usage covers inside a life is unobserved, not gone."""
    assert lives({1: [Interval(0, 5), Interval(9, 12)]}, []) == {1: [Life(0, None)]}


def test_a_retirement_ends_a_life_and_usage_begins_another() -> None:
    """Retired at the end of its usage and seen again later, a device has two lives; time between is neither's."""
    covered = {1: [Interval(0, 5), Interval(9, 12)]}
    assert lives(covered, [5]) == {1: [Life(0, 5), Life(9, None)]}
    assert lives(covered, [7, 12]) == {1: [Life(0, 7), Life(9, 12)]}
    assert lives(covered, [3]) == {1: [Life(0, None)]}, "contradicted by later usage"


def test_versions_follow_one_another() -> None:
    """The version before keeps the gap; each version may live again."""
    covered = {1: [Interval(0, 5), Interval(20, 25)], 2: [Interval(8, 12)]}
    assert lives(covered, []) == {1: [Life(0, 8), Life(20, None)], 2: [Life(8, 20)]}
    assert lives(covered, [12]) == {1: [Life(0, 8), Life(20, None)], 2: [Life(8, 12)]}


def test_a_device_without_usage_has_no_life() -> None:
    """Being listed is not being there."""
    assert lives({1: []}, [4]) == {1: []}

"""Half-open intervals: cutting, merging, gaps."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.intervals import Interval, cut, gaps, merge, overlap_us

points = st.integers(0, 300)
intervals = st.tuples(points, points).map(lambda pair: Interval(*pair))
proper = st.tuples(points, points).map(lambda pair: Interval(min(pair), max(pair)))


def covered(found: list[Interval]) -> set[int]:
    """Return the microseconds that the intervals contain: what they mean, spelt out."""
    return {at for start, end in found for at in range(start, end)}


@given(points, points, st.integers(1, 70))
def test_cutting_partitions_and_never_crosses_a_boundary(start: int, end: int, step: int) -> None:
    """The pieces lie end to end from start to end, none crosses a multiple of the step, an empty interval has none."""
    pieces = list(cut(start, end, step))
    assert covered(pieces) == set(range(start, end))
    assert sum(piece.length_us for piece in pieces) == max(0, end - start)
    assert all((piece.end_us - 1) // step == piece.start_us // step for piece in pieces)
    assert all(a.end_us == b.start_us for a, b in itertools.pairwise(pieces))


@given(st.lists(intervals, max_size=8))
def test_merging_keeps_what_is_covered_and_leaves_no_neighbours(found: list[Interval]) -> None:
    """The union is the same set of instants, sorted, with a hole between any two of its intervals."""
    merged = merge(found)
    assert covered(merged) == covered(found)
    assert all(a.end_us < b.start_us for a, b in itertools.pairwise(merged))
    assert merge(reversed(found)) == merged


@given(st.lists(intervals, max_size=8), proper)
def test_gaps_are_exactly_what_nothing_covers(found: list[Interval], whole: Interval) -> None:
    """Covered and missing time partition the whole."""
    missing = gaps(found, whole)
    assert covered(missing) == covered([whole]) - covered(found)
    assert all(piece.length_us > 0 for piece in missing)


@given(proper, proper)
def test_overlap_is_the_length_of_what_both_contain(a: Interval, b: Interval) -> None:
    """Touching intervals do not overlap, and the order does not matter."""
    assert overlap_us(a, b) == overlap_us(b, a) == len(covered([a]) & covered([b]))

"""What has been taken so far, as merged half-open ranges per key: time per device, sequence numbers per spool."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from gpuledger.accounting.intervals import Interval

_K = TypeVar("_K", bound=Hashable)


class Covered(Generic[_K]):
    """Per key a sorted list of ranges that neither overlap nor touch."""

    def __init__(self, ranges: Iterable[tuple[_K, int, int]] = ()) -> None:
        self._starts: dict[_K, list[int]] = {}
        self._ends: dict[_K, list[int]] = {}
        for key, start, end in ranges:
            self.add(key, start, end)

    def overlap(self, key: _K, start: int, end: int) -> Interval | None:
        """Return the first range of `key` that shares a point with `[start, end)`."""
        ends = self._ends.get(key)
        if not ends:
            return None
        first = bisect_right(ends, start)
        if first < len(ends) and self._starts[key][first] < end:
            return Interval(self._starts[key][first], ends[first])
        return None

    def add(self, key: _K, start: int, end: int) -> None:
        """Add `[start, end)`, joining what it touches; nothing where it is empty."""
        if end <= start:
            return
        starts, ends = self._starts.setdefault(key, []), self._ends.setdefault(key, [])
        low = bisect_left(ends, start)  # the first range that reaches `start`
        high = bisect_right(starts, end)  # the first range that begins after `end`
        if low < high:
            start, end = min(start, starts[low]), max(end, ends[high - 1])
        starts[low:high] = [start]
        ends[low:high] = [end]

    def of(self, key: _K) -> list[Interval]:
        """Return the ranges of `key`, sorted."""
        return [Interval(*pair) for pair in zip(self._starts.get(key, ()), self._ends.get(key, ()), strict=True)]

    def end(self, key: _K) -> int | None:
        """Return where the last range of `key` ends."""
        ends = self._ends.get(key)
        return ends[-1] if ends else None

"""Half-open UTC intervals `[start, end)` in integer microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Interval(NamedTuple):
    """`[start_us, end_us)`: the start belongs to it, the end does not."""

    start_us: int
    end_us: int

    @property
    def length_us(self) -> int:
        """Return the length in microseconds."""
        return self.end_us - self.start_us


def cut(start_us: int, end_us: int, step_us: int) -> Iterator[Interval]:
    """Yield `[start_us, end_us)` cut at every multiple of `step_us`; nothing where it is empty."""
    while start_us < end_us:
        boundary = min(end_us, (start_us // step_us + 1) * step_us)
        yield Interval(start_us, boundary)
        start_us = boundary


def overlap_us(a: Interval, b: Interval) -> int:
    """Return how long both intervals run at once."""
    return max(0, min(a.end_us, b.end_us) - max(a.start_us, b.start_us))


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union as sorted intervals that neither overlap nor touch."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if interval.length_us <= 0:
            continue
        if merged and interval.start_us <= merged[-1].end_us:
            if interval.end_us > merged[-1].end_us:
                merged[-1] = Interval(merged[-1].start_us, interval.end_us)
        else:
            merged.append(interval)
    return merged


def gaps(covered: Iterable[Interval], whole: Interval) -> list[Interval]:
    """Return the parts of `whole` that no interval of `covered` reaches."""
    missing: list[Interval] = []
    at_us = whole.start_us
    for start_us, end_us in merge(covered):
        if at_us < min(start_us, whole.end_us):
            missing.append(Interval(at_us, min(start_us, whole.end_us)))
        at_us = max(at_us, end_us)
        if at_us >= whole.end_us:
            return missing
    if at_us < whole.end_us:
        missing.append(Interval(at_us, whole.end_us))
    return missing

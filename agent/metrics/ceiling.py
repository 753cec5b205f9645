"""The hard ceiling on series: the largest families are cut, evenly, and what is cut off is summed under `other`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agent.metrics.family import COUNTER, Family, Filled
from agent.metrics.labels import block, quoted

OTHER: Final = "other"  # the label value under which what has no series of its own is counted
_OTHER: Final = quoted(OTHER)


class Ceiling:
    """At most `max_series` series on a page.

    All families are allowed the same number, the largest that fits; who has fewer is not touched. A family beyond it
    keeps its first series, and one whose sum means something shows the rest as one series. Counters that were cut once
    stay cut as far, or `other` would seem to count backwards when a series leaves it.
    """

    def __init__(self, max_series: int, node: str) -> None:
        self._max_series = max_series
        self._fixed = dict.fromkeys(("node", "Hostname"), quoted(node))  # what is true of what is summed, too
        self._counters_level = max_series
        self.dropped = 0  # series that were left out, page by page

    def apply(self, families: Iterable[Filled]) -> list[Filled]:
        """Return the families within the ceiling."""
        found = [(family, samples) for family, samples in families if samples]
        level = _level([len(samples) for _, samples in found], self._max_series)
        self._counters_level = min(self._counters_level, level)
        return [self._cut(filled, self._counters_level if filled[0].kind == COUNTER else level) for filled in found]

    def _cut(self, filled: Filled, level: int) -> Filled:
        family, samples = filled
        if len(samples) <= level:
            return filled
        kept = samples[: level - 1] if family.additive else samples[:level]
        self.dropped += len(samples) - len(kept)
        if family.additive and level:
            rest = sum(value for _, value in samples[level - 1 :])
            kept = [*kept, (self._other_block(family), rest)]
        return family, kept

    def _other_block(self, family: Family) -> str:
        return block(f"{name}={self._fixed.get(name, _OTHER)}" for name in family.labels)


def _level(sizes: Sequence[int], most: int) -> int:
    """Return the largest number that each family may have so that all together have no more than `most`."""
    if sum(sizes) <= most:
        return most
    left, level = most, 0
    ordered = sorted(sizes)
    for index, size in enumerate(ordered):
        level = left // (len(ordered) - index)
        if size > level:
            return level
        left -= size
    return level

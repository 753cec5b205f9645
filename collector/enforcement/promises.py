"""GPUs that were allowed since the figures were read: without them a hundred pods would fit where one does.

The standing of a budget or a quota is as of the usage that has arrived. What was allowed after that is counted on top,
until it is old enough to be in the usage itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple

from gpuledger.accounting.ownership import Owner


class _Promise(NamedTuple):
    at_us: int
    owner: Owner
    model: str
    parts: int


class Promises:
    """What was allowed lately. Not for several threads at once: the event loop alone uses it."""

    def __init__(self, remember_us: int) -> None:
        self._remember_us = remember_us
        self._kept: deque[_Promise] = deque()
        self._sums: defaultdict[tuple[Owner, str], int] = defaultdict(int)

    def add(self, at_us: int, owner: Owner, model: str, parts: int) -> None:
        """Count what was allowed at an instant."""
        self._kept.append(_Promise(at_us, owner, model, parts))
        self._sums[owner, model] += parts

    def standing(self, now_us: int) -> Mapping[tuple[Owner, str], int]:
        """Return how many parts of a GPU each owner was allowed of each model that no usage can show yet."""
        while self._kept and self._kept[0].at_us <= now_us - self._remember_us:
            old = self._kept.popleft()
            key = old.owner, old.model
            self._sums[key] -= old.parts
            if not self._sums[key]:
                del self._sums[key]
        return self._sums

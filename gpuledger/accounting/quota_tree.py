"""Quotas that lend: how much more a node may have of what its cohort owns, and who has borrowed what of whom.

A tree of nodes. Leaves own an amount and use some; a node above them is a cohort, which owns what its leaves own and
uses what they use. What a node leaves of its own, up to what it lends, others of its cohort may have, up to what they
borrow; a cohort lends and borrows in the cohort above it in the same way. All amounts are whole numbers of one unit.

The rules are those of Kueue's cohorts, so that a scheduler that is given the same quotas decides alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final, NamedTuple, Self

from gpuledger.accounting.split import split_exactly
from gpuledger.errors import ConservationError

ROOT: Final = -1


class Node(NamedTuple):
    """A node, and the place of the cohort that it is in (ROOT: of none), which comes before it.

    `borrow` is the most that it has above what it owns, `lend` the most that others have of it (None: no limit). Those
    that others are in own nothing and use nothing themselves.
    """

    parent: int
    owns: int = 0
    used: int = 0
    borrow: int | None = 0
    lend: int | None = None


class Dealt(NamedTuple):
    """What a node borrows, what of its own others have, and what is used above its own that nobody lends it."""

    borrowed: int
    lent: int
    beyond: int


class QuotaTree:
    """Nodes, each after its cohort. Raises ValueError where they are no tree."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self._below: list[list[int]] = [[] for _ in nodes]
        for place, node in enumerate(nodes):
            if not ROOT <= node.parent < place:
                raise ValueError(f"node {place} comes before its cohort {node.parent}")
            if node.owns < 0 or node.used < 0:
                raise ValueError(f"node {place} owns or uses less than nothing: {node}")
            if node.parent != ROOT:
                self._below[node.parent].append(place)
        for place, below in enumerate(self._below):
            if below and (self.nodes[place].owns or self.nodes[place].used):
                raise ValueError(f"node {place} is a cohort, and owns or uses something besides what those in it do")
        self._used = [node.used for node in nodes]
        self._shared = [0] * len(nodes)  # what it may use or lend of what is in it
        self._kept = [0] * len(nodes)  # the part of that which nobody else can have
        self._asked = [0] * len(nodes)  # what is used of it, without what those in it kept for themselves
        for place in reversed(range(len(nodes))):
            node, below = self.nodes[place], self._below[place]
            self._shared[place] = node.owns + sum(self._shared[each] - self._kept[each] for each in below)
            lends = self._shared[place] if node.lend is None else min(node.lend, self._shared[place])
            self._kept[place] = self._shared[place] - lends
            self._asked[place] = node.used + sum(max(0, self._asked[each] - self._kept[each]) for each in below)

    def with_more(self, more: Mapping[int, int]) -> QuotaTree:
        """Return the same with more used by some leaves; only what that changes is found anew."""
        return copy(self).take(more)

    def take(self, more: Mapping[int, int]) -> Self:
        """Use more, here and in no copy; return itself."""
        self._asked, self._used = list(self._asked), list(self._used)
        for place, amount in more.items():
            self._used[place] += amount
            at, change = place, amount
            while at != ROOT and change:
                kept, before = self._kept[at], self._asked[at]
                self._asked[at] = before + change
                at, change = self.nodes[at].parent, max(0, before + change - kept) - max(0, before - kept)
        return self

    def room(self, place: int) -> int:
        """Return how much more a node may use now; what it keeps for itself it always may."""
        node, kept = self.nodes[place], self._kept[place]
        if node.parent == ROOT:
            return max(0, self._shared[place] - self._asked[place])
        own = max(0, kept - self._asked[place])
        above = self.room(node.parent)
        if node.borrow is not None:
            lends = self._shared[place] - kept
            above = min(above, lends - max(0, self._asked[place] - kept) + node.borrow)
        return own + max(0, above)

    def settle(self) -> list[Dealt]:
        """Return who borrows and who lends, by place. Raises ConservationError where that is not the same.

        Within a cohort first; what is still wanted or left then goes up. Each share is in proportion to what a node is
        above its own, or leaves of it (largest remainder).
        """
        over, left = self._over_and_left()
        borrowed, lent = [0] * len(over), [0] * len(over)
        for place, below in enumerate(self._below):
            if not below:
                continue
            wanted, spare = [over[each] for each in below], [left[each] for each in below]
            within = min(sum(wanted), sum(spare))
            got, gave = within + borrowed[place], within + lent[place]
            for each, one, other in zip(below, split_exactly(got, wanted), split_exactly(gave, spare), strict=True):
                borrowed[each], lent[each] = one, other
        dealt = [Dealt(borrowed[place], lent[place], self._beyond(place, borrowed)) for place in range(len(self.nodes))]
        return self._proven(dealt)

    def _over_and_left(self) -> tuple[list[int], list[int]]:
        """Return what each node would borrow, and what it would lend, in the cohort that it is in."""
        over, left = [0] * len(self.nodes), [0] * len(self.nodes)
        for place in reversed(range(len(self.nodes))):
            node, below = self.nodes[place], self._below[place]
            wanted = max(0, self._used[place] - node.owns) + sum(over[each] for each in below)
            spare = max(0, node.owns - self._used[place]) + sum(left[each] for each in below)
            within = min(wanted, spare) if below else 0
            over[place] = wanted - within if node.borrow is None else min(wanted - within, node.borrow)
            left[place] = spare - within if node.lend is None else min(spare - within, node.lend)
            if node.parent == ROOT:
                over[place] = left[place] = 0
        return over, left

    def _beyond(self, place: int, borrowed: Sequence[int]) -> int:
        if self._below[place]:
            return sum(self._beyond(each, borrowed) for each in self._below[place])
        return max(0, self._used[place] - self.nodes[place].owns) - borrowed[place]

    def _proven(self, dealt: list[Dealt]) -> list[Dealt]:
        """Return `dealt` where, in each cohort, what its nodes borrow is what they lend and what comes from above."""
        for place, below in enumerate(self._below):
            came = sum(dealt[each].lent for each in below) + dealt[place].borrowed
            went = sum(dealt[each].borrowed for each in below) + dealt[place].lent
            if below and came != went:
                raise ConservationError(f"of a cohort {came} was lent, and {went} was borrowed")
        for node, each in zip(self.nodes, dealt, strict=True):
            if min(each) < 0 or (node.borrow is not None and each.borrowed > node.borrow):
                raise ConservationError(f"{node} is settled as {each}")
        return dealt

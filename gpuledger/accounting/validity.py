"""From when until when a price or a rule is valid, and where a change of a dated list takes effect."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from gpuledger.accounting.intervals import Interval


class Validity(NamedTuple):
    """`[from_us, to_us)`; None is open: since ever, or until further notice."""

    from_us: int | None = None
    to_us: int | None = None

    def holds_at(self, at_us: int) -> bool:
        """Return whether `at_us` lies inside."""
        return (self.from_us is None or self.from_us <= at_us) and (self.to_us is None or at_us < self.to_us)

    def meets(self, other: Validity) -> bool:
        """Return whether both hold at some instant."""
        return not (
            (self.to_us is not None and other.from_us is not None and self.to_us <= other.from_us)
            or (other.to_us is not None and self.from_us is not None and other.to_us <= self.from_us)
        )


class Dated(Protocol):
    """Anything that holds from one instant until another."""

    @property
    def validity(self) -> Validity:
        """Return when it holds."""
        ...


_D = TypeVar("_D", bound=Dated)


def segments(whole: Interval, dated: Iterable[Dated]) -> list[Interval]:
    """Cut `whole` wherever one of `dated` starts or ends, so that within a segment all of them stay as they are."""
    bounds = {whole.start_us, whole.end_us}
    for item in dated:
        bounds.update(at for at in item.validity if at is not None and whole.start_us < at < whole.end_us)
    ordered = sorted(bounds)
    return [Interval(start, end) for start, end in itertools.pairwise(ordered)]


def changed(old: Sequence[_D], new: Sequence[_D]) -> list[Validity]:
    """Return when answers may differ between two lists whose order matters: the validities of all that moved.

    What both lists begin with and what both end with stays in the same order, so only the middle can tell them apart.
    """
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle = [*old[start : len(old) - end], *new[start : len(new) - end]]
    return [item.validity for item in middle]

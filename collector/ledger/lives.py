"""From when to when a device could be held, from its coverage and its retirements; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gpuledger.accounting.intervals import Interval


class Life(NamedTuple):
    """`[from_us, to_us)`; None: it goes on."""

    from_us: int
    to_us: int | None


def lives(covered: Mapping[int, Iterable[Interval]], retired_us: Iterable[int]) -> dict[int, list[Life]]:
    """Return the lives of every version of one device, the versions by id with the time that usage covers.

    A life goes on through gaps. It ends where the same key goes on with other attributes, and at a retirement that
    no later usage of the same life contradicts. The result does not depend on the order of arrival.
    """
    spans = sorted((span.start_us, span.end_us, version) for version, known in covered.items() for span in known)
    ends = sorted(set(retired_us))
    found: dict[int, list[Life]] = {version: [] for version in covered}
    for i, (start_us, end_us, version) in enumerate(spans):
        begins_us = start_us
        if i and spans[i - 1][2] == version and found[version] and found[version][-1].to_us is None:
            begins_us = found[version].pop().from_us
        following = spans[i + 1] if i + 1 < len(spans) else None
        found[version].append(Life(begins_us, _end(end_us, version, following, ends)))
    return found


def _end(end_us: int, version: int, following: tuple[int, int, int] | None, retired_us: list[int]) -> int | None:
    until_us = following[0] if following else None
    for at_us in retired_us:
        if at_us >= end_us and (until_us is None or at_us <= until_us):
            return at_us
    return until_us if following and following[2] != version else None

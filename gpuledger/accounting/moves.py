"""A move of cost between a team and the platform, and the two lines of bills that it becomes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gpuledger.accounting.adjustments import Adjustment
from gpuledger.accounting.held import Team
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import gpu_hours


class Move(NamedTuple):
    """What a team pays more (or, below zero, less) and the platform less (more), and why.

    `shared` is what the platform's line says: moves of the same words, kind of device and time are one line of it.
    """

    owner: Team
    project: str
    model: str
    mig_profile: str
    state: int
    part_us: int
    quanta: int
    because: str
    shared: str
    during: Interval


def lines_of(moves: Iterable[Move], kind: str, reference: str) -> list[Adjustment]:
    """Return the lines of both sides, which sum to zero."""
    theirs: list[Adjustment] = []
    ours: defaultdict[tuple[str, Interval, str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    for move in moves:
        theirs.append(
            Adjustment(
                kind, move.because, reference, *move.during, move.quanta, *move.owner, move.project, move.model,
                move.mig_profile, move.state, move.part_us,
            )
        )  # fmt: skip
        sums = ours[move.shared, move.during, move.model, move.mig_profile, move.state]
        sums[0] -= move.quanta
        sums[1] += move.part_us
    platform = [
        Adjustment(
            kind, because, reference, *during, quanta,
            model=model, mig_profile=mig_profile, state=state, part_us=part_us,
        )
        for (because, during, model, mig_profile, state), (quanta, part_us) in sorted(ours.items())
    ]  # fmt: skip
    return [*theirs, *platform]


def in_hours(part_us: int) -> str:
    """Return GPU-hours for a reason, to a tenth."""
    return f"{gpu_hours(part_us):,.1f} GPU-hours"


def unpriced_note(part_us: int) -> str:
    """Return what a reason adds where time had no price: it is named, never moved as if it were free."""
    return f"; {in_hours(part_us)} of it have no price and are not in this" if part_us else ""

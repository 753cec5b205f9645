"""Hours cut where their price turns: what of a usage record lies in which segment, and nothing is lost or made up."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.split import split_exactly, spread_exactly


class Use(NamedTuple):
    """The amounts of one usage record; activity and energy are None where they are not known."""

    held_us: int
    active_us: int | None
    energy_mj: int | None


def cut_at(whole: Interval, turns: Iterable[int]) -> list[Interval]:
    """Cut `whole` at every turn that lies strictly inside; the pieces are in order and together are all of it."""
    bounds = [whole.start_us, *sorted({at for at in turns if whole.start_us < at < whole.end_us}), whole.end_us]
    return [Interval(start, end) for start, end in itertools.pairwise(bounds)]


def cut_uses(uses: Sequence[Use], pieces: Sequence[Interval]) -> list[list[Use]]:
    """Share the uses of one interval among its pieces by time; return the parts of all uses, piece by piece.

    The parts of each amount sum to it. Where held times sum to the interval's length, as those of a device do, the held
    parts of a piece sum to its length. A part is never active for longer than it is held: activity and energy follow
    the held time. Raises ValueError where there is nothing to share among, or an amount is negative.
    """
    lengths = [piece.length_us for piece in pieces]
    held = spread_exactly([use.held_us for use in uses], lengths)
    by_use = [_parts(use, [piece[at] for piece in held]) for at, use in enumerate(uses)]
    return [list(parts) for parts in zip(*by_use, strict=True)]


def _parts(use: Use, held: list[int]) -> list[Use]:
    unknown: list[int | None] = [None] * len(held)
    active = unknown if use.active_us is None else split_exactly(use.active_us, held)
    energy = unknown if use.energy_mj is None else split_exactly(use.energy_mj, held)
    return [Use(*amounts) for amounts in zip(held, active, energy, strict=True)]

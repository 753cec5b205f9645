"""The gap between the two views of one bill: what a team held and paid for, and what of that it used, by cause.

Allocation cost = usage cost + the parts of the gap, exactly. What a holder used beyond its share of a shared device is
a part below zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gpuledger.accounting.held import Sums, Team
from gpuledger.errors import ConservationError
from gpuledger.model import State

UNOBSERVED: Final = "unobserved"  # held, and nobody saw whether it worked
UNGRANTED: Final = "ungranted"  # used by a process that no scheduler gave it to, and not all the time
PARTLY_ACTIVE: Final = "partly_active"  # between the work of holders that did work
BEYOND_SHARE: Final = "beyond_share"  # active for more than its share of a shared device
HELD_IDLE: Final = "held_idle"  # no work at all; followed by the reason


@dataclass(slots=True)
class Gap:
    """One team's held time by both views, in quanta and microseconds x parts; unpriced time is in no cost."""

    allocation_quanta: int = 0
    usage_quanta: int = 0
    part_us: int = 0
    active_part_us: int = 0
    unpriced_part_us: int = 0
    parts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def gap_quanta(self) -> int:
        """Return what was paid for and not seen to be used."""
        return self.allocation_quanta - self.usage_quanta


def gaps_of(sums: Iterable[Sums]) -> Mapping[Team, Gap]:
    """Return the gap of each team that held anything (three empty names: holders that no rule names).

    Raises ConservationError where the parts of a gap are not the whole of it.
    """
    found: defaultdict[Team, Gap] = defaultdict(Gap)
    for row in sums:
        if row.held and row.state:
            _add(found[row.owner], row)
    for team, gap in found.items():
        if sum(gap.parts.values()) != gap.gap_quanta:
            raise ConservationError(f"the gap of {team} is {gap.gap_quanta} quanta, its parts are not")
    return found


def _add(gap: Gap, row: Sums) -> None:
    gap.allocation_quanta += row.cost_quanta
    gap.usage_quanta += row.used_quanta
    gap.part_us += row.part_us
    gap.active_part_us += row.active_part_us
    gap.unpriced_part_us += row.unpriced_part_us
    for cause, quanta in (
        (UNOBSERVED, row.unseen_quanta),
        (BEYOND_SHARE, -row.beyond_quanta),
        (_cause(row), row.unused_quanta + row.beyond_quanta),
    ):
        if quanta:
            gap.parts[cause] += quanta


def _cause(row: Sums) -> str:
    state = State(row.state)
    if state is State.HELD_IDLE:
        return f"{HELD_IDLE}: {row.reason or 'unknown'}"
    return {State.UNGRANTED: UNGRANTED, State.HELD_UNOBSERVED: UNOBSERVED}.get(state, PARTLY_ACTIVE)

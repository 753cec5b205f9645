"""Adjustments: lines of a bill that are not charges of hours, and the rule that most of them only move cost.

A policy, a commitment, a loan between teams or a decision adds to what an owner pays or takes from it. Kinds that only
move cost from one owner to another sum to zero over all owners, the platform among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from gpuledger.errors import ConservationError

IDLE_SHARE: Final = "idle_share"  # time that nobody held, spread by policy
BASIS: Final = "basis"  # the difference between what was held and what is billed by another basis
FREE_TIER: Final = "free_tier"  # time that an owner has free
FAULT_CREDIT: Final = "fault_credit"  # time that a holder lost to a hardware fault
LOAN: Final = "loan"  # time above an owner's share, on a share that another left idle
DISPUTE: Final = "dispute"  # what a dispute came to
MANUAL: Final = "manual"  # what somebody entered, who says why
COMMITMENT: Final = "commitment"  # capacity that was promised to a vendor and is paid without being there

MOVES: Final = (IDLE_SHARE, BASIS, FREE_TIER, FAULT_CREDIT, LOAN)
KINDS: Final = (*MOVES, DISPUTE, MANUAL, COMMITMENT)


class Adjustment(NamedTuple):
    """One line: whose it is (an empty team: the platform), what it is about, and what it adds to the bill.

    `[from_us, to_us)` is the time that it is for and `corrects` the label of the closed period that lies in, where it
    is not the period whose bill has it. `part_us` is the device time that it is about, in microseconds x parts; it is
    on the bill already and is not counted again. `state` is 0 where it is about no state of device time.
    """

    kind: str
    because: str  # in words, for the bill
    reference: str  # what it follows from: "policy 3", "dispute 12", "contract lease-a"
    from_us: int
    to_us: int
    cost_quanta: int
    organisation: str = ""
    department: str = ""
    team: str = ""
    project: str = ""
    model: str = ""
    mig_profile: str = ""
    state: int = 0
    part_us: int = 0
    corrects: str = ""

    @property
    def owner(self) -> tuple[str, str, str]:
        """Return whose bill it is on."""
        return self.organisation, self.department, self.team


def require_conserved(adjustments: Iterable[Adjustment]) -> None:
    """Raise ConservationError where adjustments that only move cost make or lose some, by kind and reference."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for each in adjustments:
        if each.kind in MOVES:
            sums[each.kind, each.reference] += each.cost_quanta
    for (kind, reference), quanta in sums.items():
        if quanta:
            raise ConservationError(f"adjustments {kind} by {reference} make {quanta} quanta out of nothing")

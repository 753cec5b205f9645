"""Whether new work may start, by the budgets of its owner: frozen values in, a decision with its reasons out."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gpuledger.accounting.budgets import ACTIONS, BLOCK, HOLD, is_part


class Admission(StrEnum):
    """What becomes of new work."""

    ALLOW = "allow"
    HOLD = "hold"  # it waits until there is room
    BLOCK = "block"  # it is refused


class Limit(NamedTuple):
    """A budget of an owner that holds or blocks new work now, and why, in words."""

    owner: str
    action: str
    why: str


class Standing(NamedTuple):
    """Where all budgets stood at an instant: only those that hold or block are in it. Never changed once made."""

    at_us: int = 0
    limits: tuple[Limit, ...] = ()


class Answer(NamedTuple):
    """What becomes of the work, and the reasons for exactly that, in the order of the budget book."""

    admission: Admission
    reasons: tuple[str, ...] = ()


def may_start(standing: Standing, owner: str, gpus: int = 1) -> Answer:
    """Return whether new work of an owner may start: the strictest budget of it, or of what it is a part of, decides.

    Work of nobody in particular (an empty owner) is under the budgets of everything. Work that wants no GPU costs
    nothing, and is allowed.
    """
    if gpus <= 0:
        return Answer(Admission.ALLOW)
    mine = [each for each in standing.limits if is_part(owner, each.owner)]
    for action, admission in ((BLOCK, Admission.BLOCK), (HOLD, Admission.HOLD)):
        reasons = tuple(each.why for each in mine if each.action == action)
        if reasons:
            return Answer(admission, reasons)
    return Answer(Admission.ALLOW)


def strictest(actions: list[str]) -> str:
    """Return the strictest of several actions; nothing of none."""
    return max(actions, key=ACTIONS.index, default="")

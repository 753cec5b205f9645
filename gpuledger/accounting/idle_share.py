"""Who pays for time that nobody held: idle, stranded, unavailable and unobserved, each by the policy that applies.

What a basis of usage left with the platform is idle capacity too, and goes the way that `idle` says. A share is of the
time of the devices that one entry speaks of, and is paid by the teams that held such devices, or by the one owner that
the entry names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from gpuledger.accounting.basis import Shift
from gpuledger.accounting.held import Sums, Team
from gpuledger.accounting.idle_policy import EVEN, PLATFORM, PROPORTIONAL, idle_shares
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.moves import Move, in_hours, unpriced_note
from gpuledger.accounting.policies import IDLE, STRANDED, UNAVAILABLE, UNHELD, UNOBSERVED, Payer
from gpuledger.accounting.policybook import PolicyBook
from gpuledger.model import State

_STATES: Final = {
    IDLE: State.IDLE,
    STRANDED: State.IDLE,
    UNAVAILABLE: State.UNAVAILABLE,
    UNOBSERVED: State.UNOBSERVED,
}
_WORDS: Final = {
    IDLE: "idle capacity",
    STRANDED: "capacity that MIG leaves over",
    UNAVAILABLE: "unavailable capacity",
    UNOBSERVED: "unobserved capacity",
}
_HOW: Final = {PROPORTIONAL: "in proportion to what its own time cost", EVEN: "in equal parts"}


class _Pot:
    """What one entry says shall be shared, and by whom."""

    def __init__(self, policy: str | Payer) -> None:
        self.policy = policy
        self.part_us = 0
        self.unpriced_part_us = 0
        self.quanta = 0
        self.own: defaultdict[Team, int] = defaultdict(int)


def share_moves(sums: Iterable[Sums], shifted: Iterable[Shift], book: PolicyBook, during: Interval) -> list[Move]:
    """Return each team's shares of time that nobody held; without such teams it stays with the platform."""
    moved = {shift.sums: shift.quanta for shift in shifted}
    pots: dict[tuple[str, int], _Pot] = {}
    for row in sums:
        if row.held:
            _pay(pots, row, moved.get(row, 0), book)
        else:
            _share(pots, row, book)
    moves: list[Move] = []
    for (kind, _), pot in sorted(pots.items(), key=lambda item: (UNHELD.index(item[0][0]), item[0][1])):
        moves += _moves(kind, pot, during)
    return moves


def _pot(pots: dict[tuple[str, int], _Pot], kind: str, row: Sums, book: PolicyBook) -> _Pot | None:
    entry, policy = book.payer(kind, row.place, row.spell_us)
    return None if policy == PLATFORM else pots.setdefault((kind, entry), _Pot(policy))


def _pay(pots: dict[tuple[str, int], _Pot], row: Sums, shift: int, book: PolicyBook) -> None:
    """Count what a team's own time cost, and what its basis left with the platform."""
    for kind in UNHELD:
        pot = _pot(pots, kind, row, book)
        if pot is None:
            continue
        if row.owned:
            pot.own[row.owner] += row.cost_quanta + shift
        if kind == IDLE:
            pot.quanta -= shift


def _share(pots: dict[tuple[str, int], _Pot], row: Sums, book: PolicyBook) -> None:
    kind = kind_of(row)
    pot = _pot(pots, kind, row, book)
    if pot is not None:
        pot.part_us += row.part_us
        pot.unpriced_part_us += row.unpriced_part_us
        pot.quanta += row.cost_quanta


def kind_of(row: Sums) -> str:
    """Return what a row of time that nobody held is called by policies."""
    if row.state == State.IDLE:
        return STRANDED if row.reason == STRANDED else IDLE
    return UNAVAILABLE if row.state == State.UNAVAILABLE else UNOBSERVED


def _moves(kind: str, pot: _Pot, during: Interval) -> list[Move]:
    note = unpriced_note(pot.unpriced_part_us)
    what, time = _WORDS[kind], in_hours(pot.part_us)
    if isinstance(pot.policy, Payer):
        shares = {pot.policy.owner: pot.quanta}
        because = f"{what} of its own ({time}){note}"
        shared = f"{what} ({time}) paid by {pot.policy.team}, whose it is{note}"
    else:
        sign = -1 if pot.quanta < 0 else 1
        split = idle_shares(pot.own, sign * pot.quanta, pot.policy)
        shares = {owner: sign * quanta for owner, quanta in split.items()}
        because = f"share of {what}, {_HOW[pot.policy]}{note}"
        shared = f"{what} ({time}) shared by {len(shares)} teams, {_HOW[pot.policy]}{note}"
    return [
        Move(owner, "", "", "", _STATES[kind], 0, quanta, because, shared, during)
        for owner, quanta in shares.items()
        if quanta or note
    ]

"""Credit for work that a hardware fault cost: of whoever held the device when it struck, the held time before it.

A device that is unavailable is held by nobody, so its time is on nobody's bill already. What a holder lost is the work
since it last saved its state: at most so many minutes of what it held up to the fault, at what that was billed. What an
application did to itself is not credited.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Final, NamedTuple

from gpuledger.accounting.held import PLATFORM_TEAM, Team
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.moves import Move, in_hours, unpriced_note
from gpuledger.accounting.periods import iso
from gpuledger.accounting.policies import APPLICATION, MAX, USAGE, FaultCredit
from gpuledger.accounting.policybook import PolicyBook, PolicyScope
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import State

AT_THE_TIME_US: Final = US_PER_MINUTE  # usage records are no longer: who held the device then held it at the fault
ONE_FAULT_US: Final = 10 * US_PER_MINUTE  # an XID and the loss of its board are one fault, not two
_WHOLE: Final = 100_000


class Fault(NamedTuple):
    """What struck a device (by a number of the ledger), when, and how it is told: a reason, or an XID and its class.

    `harmless`: an XID that, by NVIDIA's catalogue, asks neither for a restart of what ran nor for a reset.
    """

    device: int
    at_us: int
    name: str  # the device, in words
    reason: str = ""
    xid: str = ""
    xid_class: str = ""
    harmless: bool = False

    def counts(self, policy: FaultCredit) -> bool:
        """Tell whether a policy gives credit for it."""
        if self.xid:
            return self.xid_class in policy.xid_classes and not self.harmless
        return self.reason in policy.faults

    def describe(self) -> str:
        """Return it in words, with its evidence: device and instant."""
        what = f"XID {self.xid}, {self.xid_class}" if self.xid else self.reason
        return f"hardware fault ({what}) of {self.name} at {iso(self.at_us)}"


class HeldPiece(NamedTuple):
    """A usage record of a held device: `[start_us, end_us)`, of which `held_us` are this holder's."""

    device: int
    holder: int
    start_us: int
    end_us: int
    held_us: int


class HolderHour(NamedTuple):
    """What a holder's hour on a device, or a part of one that a price turn cut, was charged.

    As held, and as used with what nobody observed of it.
    """

    scope: PolicyScope
    project: str
    mig_profile: str
    parts: int
    held_us: int
    cost_quanta: int
    used_quanta: int
    unpriced: bool

    def billed(self, basis: str) -> int:
        """Return what it is billed by a basis."""
        if basis == USAGE:
            return self.used_quanta
        return max(self.cost_quanta, self.used_quanta) if basis == MAX else self.cost_quanta


Hours = Mapping[tuple[int, int, int], HolderHour]  # by device, holder and where the hour, or its part, begins


class Struck(NamedTuple):
    """What faults there were, and who had what of their devices before them."""

    faults: Sequence[Fault]
    pieces: Sequence[HeldPiece]
    hours: Hours


class _Billed:
    """What one holder was charged on one device, by instant."""

    def __init__(self, hours: Hours, device: int, holder: int) -> None:
        self._hours, self._key = hours, (device, holder)
        self._starts = sorted(start_us for *key, start_us in hours if (*key,) == self._key)

    def at(self, at_us: int) -> HolderHour | None:
        """Return the hour, or the part of one, that an instant lies in; None where nothing is charged of it."""
        start_us = self.start_of(at_us)
        return None if start_us is None else self._hours[*self._key, start_us]

    def start_of(self, at_us: int) -> int | None:
        """Return where that begins."""
        place = bisect_right(self._starts, at_us) - 1
        if place < 0 or self._starts[place] // US_PER_HOUR != at_us // US_PER_HOUR:
            return None
        return self._starts[place]

    def cut(self, start_us: int, end_us: int) -> Iterator[tuple[int, int]]:
        """Cut `[start_us, end_us)` where an hour, or a part of one, begins."""
        first, last = bisect_right(self._starts, start_us), bisect_left(self._starts, end_us)
        return pairwise([start_us, *self._starts[first:last], end_us])


def without_applications(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults without those of applications: their XIDs, and losses that nothing but such an XID came before.

    They come back in order of time.
    """
    told: dict[int, list[Fault]] = {}  # XIDs of a device within the last minutes
    kept = []
    for fault in sorted(faults, key=lambda each: (each.at_us, each.device, not each.xid, each.xid)):
        before = [each for each in told.get(fault.device, ()) if fault.at_us - each.at_us <= ONE_FAULT_US]
        if fault.xid:
            before.append(fault)
        told[fault.device] = before
        blamed = {each.xid_class for each in before} == {APPLICATION}
        if fault.xid_class != APPLICATION and not (blamed and not fault.xid):
            kept.append(fault)
    return kept


def credit_moves(struck: Struck, book: PolicyBook, left_quanta: Mapping[Team, int], since_us: int = 0) -> list[Move]:
    """Return the credits for faults, in order of time.

    `left_quanta` is what each team's own time still comes to: together, credits never take more than that. Work before
    `since_us` is on another bill, and is not credited on this one.
    """
    held: defaultdict[int, defaultdict[int, list[HeldPiece]]] = defaultdict(lambda: defaultdict(list))
    for piece in struck.pieces:
        held[piece.device][piece.holder].append(piece)
    left = dict(left_quanta)
    struck_us: dict[tuple[int, int], int] = {}
    moves: list[Move] = []
    for fault in without_applications(struck.faults):
        for holder, pieces in sorted(held[fault.device].items()):
            last_us = struck_us.get((fault.device, holder))
            if last_us is not None and fault.at_us - last_us < ONE_FAULT_US:
                continue
            move = _credit(fault, pieces, struck.hours, book, max(since_us, last_us or 0))
            if move is None:
                continue
            struck_us[fault.device, holder] = fault.at_us
            moves.append(_within(move, left))
    return moves


def _within(move: Move, left: dict[Team, int]) -> Move:
    """Return a credit that is no more than what its owner has left to pay, and take it off that."""
    rest = max(0, left.get(move.owner, 0))
    left[move.owner] = rest - min(-move.quanta, rest)
    if -move.quanta <= rest:
        return move
    capped = "; no more than is left to pay"
    return move._replace(quanta=-rest, because=move.because + capped, shared=move.shared + capped)


def _credit(fault: Fault, pieces: Sequence[HeldPiece], hours: Hours, book: PolicyBook, since_us: int) -> Move | None:
    """Return what one holder gets for one fault; None where it did not hold the device then, or gets none."""
    at = [each for each in pieces if each.start_us < fault.at_us and each.end_us > fault.at_us - AT_THE_TIME_US]
    if not at:
        return None
    billed = _Billed(hours, fault.device, at[-1].holder)
    hour_us = at[-1].start_us // US_PER_HOUR * US_PER_HOUR
    here = billed.at(at[-1].start_us)
    if here is None or here.scope[:3] == PLATFORM_TEAM:
        return None
    _, policy = book.fault_credit(here.scope, hour_us)
    if not policy.minutes or not fault.counts(policy):
        return None
    window = Interval(max(fault.at_us - policy.minutes * US_PER_MINUTE, since_us), fault.at_us)
    lost, quanta, unpriced = _lost(pieces, billed, window, book, here.scope[:3])
    quanta = quanta * policy.percent_millis // _WHOLE
    part_us = lost * here.parts
    share = "" if policy.percent_millis == _WHOLE else f", of which {policy.percent_text} % are credited"
    note = unpriced_note(part_us if unpriced else 0)
    because = f"{fault.describe()}: {in_hours(part_us)} of work before it lost{share}{note}"
    return Move(
        owner=here.scope[:3],
        project=here.project,
        model=here.scope.model,
        mig_profile=here.mig_profile,
        state=State.UNAVAILABLE,
        part_us=part_us,
        quanta=-quanta,
        because=because,
        shared=f"credited to {here.scope.team}: {because}",
        during=Interval(window.start_us, window.end_us),
    )


def _lost(
    pieces: Sequence[HeldPiece], billed: _Billed, window: Interval, book: PolicyBook, owner: Team
) -> tuple[int, int, bool]:
    """Return the held time inside `window`, what it was billed (rounded down once), and if it has a price."""
    lost: defaultdict[int, int] = defaultdict(int)  # by where the hour, or its part, begins
    for piece in pieces:
        start_us, end_us = max(piece.start_us, window.start_us), min(piece.end_us, window.end_us)
        for from_us, to_us in billed.cut(start_us, end_us) if start_us < end_us else ():
            at_us = billed.start_of(from_us)
            if at_us is not None:
                lost[at_us] += piece.held_us * (to_us - from_us) // (piece.end_us - piece.start_us)
    held_us, quanta, unpriced = 0, Fraction(0), False
    for at_us, lost_us in lost.items():
        hour = billed.at(at_us)
        if hour is None or hour.scope[:3] != owner:
            continue  # an hour of another owner, or outside what is open
        _, basis = book.basis(hour.scope, at_us // US_PER_HOUR * US_PER_HOUR)
        held_us += lost_us
        unpriced = unpriced or hour.unpriced
        if hour.held_us:
            quanta += Fraction(hour.billed(basis) * min(lost_us, hour.held_us), hour.held_us)
    return held_us, floor(quanta), unpriced

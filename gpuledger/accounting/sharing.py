"""Who had what of a board over one sampling step: time by weight, work as measured, energy by floor and work.

Every split is exact. The rule that was used is on each share's evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from gpuledger.accounting.energy import NO_ENERGY
from gpuledger.accounting.intervals import Interval, cut
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant
from gpuledger.accounting.split import split_exactly, spread_exactly
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.accounting.work import NO_ACTIVITY, OF_HOLDERS, Work, share_work
from gpuledger.errors import ConservationError
from gpuledger.model import Confidence, Evidence, State

UNREADABLE: Final = "unreadable"

_NJ_PER_MJ: Final = 1_000_000


class Share(msgspec.Struct):
    """What one holder (or nobody) had of a device over one stretch of time; it grows while its row is open."""

    holder: str | None
    state: State
    reason: str
    evidence: Evidence
    held_us: int
    active_us: int | None
    energy_mj: int | None = None
    memory_byte_us: int = 0
    memory_known_us: int = 0
    memory_max_bytes: int | None = None


class Stretch(NamedTuple):
    """A device over `[start_us, end_us)` with the same occupants throughout: their `held_us` sum to its length."""

    start_us: int
    end_us: int
    shares: list[Share]


class Step(NamedTuple):
    """The interval between two snapshots of a board, and how its energy was found."""

    start_us: int
    end_us: int
    length_us: int
    energy_mj: int | None
    energy_method: str
    unobserved: str = ""  # the reason, where nobody looked during the step


def share_board(before: BoardSnapshot, after: BoardSnapshot | None, step: Step) -> list[tuple[str, list[Stretch]]]:
    """Return each device of `before` with its stretches, energy included; `after` is None where the board is gone.

    The step belongs to the occupants of `before`; an occupant that is new in `after` is counted from its arrival where
    that is known to lie inside the step. Activity is what `after` says of the step.
    """
    devices, split = before.devices, "whole"
    if len(devices) > 1:
        devices, split = tuple(sorted(devices, key=_device_key)), "slices"
    shared = []
    sized: list[tuple[int, Share]] = []
    for device in devices:
        stretches = _share_device(device, _find(after, device.device), step, split)
        shared.append((device.device, stretches))
        for stretch in stretches:
            sized += [(device.parts, share) for share in stretch.shares]
    if step.energy_mj is not None:
        _share_energy(step.energy_mj, before.idle_power_mw * step.length_us // _NJ_PER_MJ, sized)
    return shared


def _find(board: BoardSnapshot | None, key: str) -> DeviceSnapshot | None:
    if board is not None:
        for device in board.devices:
            if device.device == key:
                return device
    return None


def cut_at_minutes(stretch: Stretch) -> list[Stretch]:
    """Return the stretch cut at every UTC minute inside it; time, work and energy split exactly by time."""
    return _cut(stretch, list(cut(stretch.start_us, stretch.end_us, US_PER_MINUTE)))


def cut_at_hours(stretch: Stretch, also_us: int) -> list[Stretch]:
    """Return the stretch cut at every UTC hour inside it, and at `also_us` where that lies inside."""
    edges = (stretch.start_us, min(max(also_us, stretch.start_us), stretch.end_us), stretch.end_us)
    return _cut(
        stretch, [piece for start_us, end_us in pairwise(edges) for piece in cut(start_us, end_us, US_PER_HOUR)]
    )


def _cut(stretch: Stretch, pieces: list[Interval]) -> list[Stretch]:
    shares = stretch.shares
    if len(pieces) == 1:
        return [stretch]
    lengths = [piece.length_us for piece in pieces]
    held = spread_exactly([share.held_us for share in shares], lengths)
    active = spread_exactly([share.active_us or 0 for share in shares], lengths)
    energy = [split_exactly(share.energy_mj or 0, lengths) for share in shares]
    return [
        Stretch(
            *piece,
            [
                _piece_of(share, held[at][who], active[at][who], energy[who][at], lengths[at])
                for who, share in enumerate(shares)
            ],
        )
        for at, piece in enumerate(pieces)
    ]


def _piece_of(share: Share, held_us: int, active_us: int, energy_mj: int, length_us: int) -> Share:
    known_us = length_us if share.memory_known_us else 0
    return Share(
        share.holder,
        share.state,
        share.reason,
        share.evidence,
        held_us,
        None if share.active_us is None else active_us,
        None if share.energy_mj is None else energy_mj,
        (share.memory_max_bytes or 0) * known_us,
        known_us,
        share.memory_max_bytes,
    )


class _Stay(NamedTuple):
    """An occupant over the part of a step in which it was there."""

    occupant: Occupant
    start_us: int
    end_us: int


def _share_device(before: DeviceSnapshot, after: DeviceSnapshot | None, step: Step, split: str) -> list[Stretch]:
    start_us, end_us, length_us, _, energy_method, unobserved = step
    if unobserved:
        return [Stretch(start_us, end_us, [_nobody(State.UNOBSERVED, unobserved, length_us, energy_method, split)])]
    before, after = _on_one_scale(before, after)
    occupants = _in_order(_present(before))
    stays = _moving_stays(occupants, after, step)
    if stays:
        return _share_with_moves(before, after, stays, step, split)
    if not occupants:
        return [Stretch(start_us, end_us, [_unheld(before, length_us, energy_method, split)])]
    held = _split_time(occupants, length_us, before.replicas)
    work = share_work(occupants, held, after, length_us)
    return [
        Stretch(start_us, end_us, _shares(occupants, held, length_us, work, energy_method=energy_method, split=split))
    ]


def _on_one_scale(before: DeviceSnapshot, after: DeviceSnapshot | None) -> tuple[DeviceSnapshot, DeviceSnapshot | None]:
    """Return both snapshots with weights out of one number of replicas: arrivals bring the number of `after` along."""
    if after is None or before.replicas == after.replicas:
        return before, after
    earlier, later = before.replicas or 1, after.replicas or 1
    whole = math.lcm(earlier, later)
    return _scaled(before, earlier, whole), _scaled(after, later, whole)


def _scaled(device: DeviceSnapshot, replicas: int, whole: int) -> DeviceSnapshot:
    occupants, passed = (
        tuple([one._replace(weight=one.weight * whole // replicas) for one in each])
        for each in (device.occupants, device.passed)
    )
    return device._replace(occupants=occupants, passed=passed, replicas=whole)


def _share_with_moves(
    before: DeviceSnapshot, after: DeviceSnapshot | None, stays: list[_Stay], step: Step, split: str
) -> list[Stretch]:
    """Cut the step at each arrival and departure; a holder's work is spread over its stay by time."""
    edges = sorted({step.start_us, step.end_us, *(edge for stay in stays for edge in stay[1:])})
    stretches = list(pairwise(edges))
    there = [
        [stay.occupant for stay in stays if stay.start_us <= start_us and end_us <= stay.end_us]
        for start_us, end_us in stretches
    ]
    held = [
        dict(zip(map(_holder_key, who), _split_time(who, end_us - start_us, before.replicas), strict=True))
        for who, (start_us, end_us) in zip(there, stretches, strict=True)
    ]
    everybody = [stay.occupant for stay in stays]
    held_by_each = [sum(part.get(one.holder, 0) for part in held) for one in everybody]
    work = share_work(everybody, held_by_each, after, step.length_us)
    worked = _spread_work(everybody, work, held, [end_us - start_us for start_us, end_us in stretches])
    shared = []
    for (start_us, end_us), who, part, done in zip(stretches, there, held, worked, strict=True):
        length_us = end_us - start_us
        if who:
            by_occupant = None if work.by_occupant is None else [done[one.holder] for one in who]
            part_work = Work(by_occupant, work.source, work.sole)
            shares = _shares(who, [*part.values()], length_us, part_work, energy_method=step.energy_method, split=split)
        else:
            shares = [_unheld(before, length_us, step.energy_method, split)]
        shared.append(Stretch(start_us, end_us, shares))
    return shared


def _spread_work(
    everybody: Sequence[Occupant], work: Work, held: list[dict[str, int]], lengths: list[int]
) -> list[dict[str, int]]:
    """Return each stretch's work by holder: what a holder did in the step, by how long it was there."""
    worked: list[dict[str, int]] = [{} for _ in held]
    for one, work_us in zip(everybody, work.by_occupant or (), strict=work.by_occupant is not None):
        there_us = [length_us if one.holder in part else 0 for part, length_us in zip(held, lengths, strict=True)]
        for done, share_us in zip(worked, split_exactly(work_us, there_us), strict=True):
            done[one.holder] = share_us
    return worked


def _present(device: DeviceSnapshot) -> Sequence[Occupant]:
    return device.occupants if device.available else ()


def _split_time(occupants: Sequence[Occupant], length_us: int, replicas: int | None) -> list[int]:
    """Return how long each occupant held the device: by granted replicas; what is not granted is nobody's."""
    weights = [occupant.weight for occupant in occupants]
    free = (replicas or 0) - sum(weights)
    if free > 0:
        return split_exactly(length_us, [*weights, free])[:-1]
    return split_exactly(length_us, weights) if weights else []


def _moving_stays(present: Sequence[Occupant], after: DeviceSnapshot | None, step: Step) -> list[_Stay]:
    """Return everybody's stay, in order of the holders; nothing where nobody is known to have come or gone.

    An arrival is known by an occupant of `after` that started inside the step, a departure by one that has `passed`.
    """
    if after is None or not after.available:
        return []
    arrived = [one for one in after.occupants if one.since_us and step.start_us < one.since_us < step.end_us]
    if not arrived and not after.passed:
        return []
    known = {one.holder for one in present}
    remain = {one.holder for one in after.occupants}
    left = {one.holder: one for one in after.passed if one.holder not in remain}
    stays = {one.holder: _Stay(one, step.start_us, _left_us(left.get(one.holder), step)) for one in present}
    moves = len(arrived) + len(left)
    for one in (*arrived, *left.values()):
        if one.holder in known:
            moves -= one.holder in remain
            continue
        stay = _Stay(one, max(step.start_us, one.since_us or 0), _left_us(left.get(one.holder), step))
        if stay.start_us < stay.end_us:
            stays[one.holder] = stay
    return [stays[holder] for holder in sorted(stays)] if moves else []


def _left_us(passed: Occupant | None, step: Step) -> int:
    if passed is None or passed.until_us is None:
        return step.end_us
    return min(max(passed.until_us, step.start_us), step.end_us)


def _in_order(occupants: Sequence[Occupant]) -> Sequence[Occupant]:
    if len(occupants) < 2:
        return occupants
    ordered = sorted(occupants, key=_holder_key)
    for one, other in pairwise(ordered):
        if one.holder == other.holder:
            raise ConservationError(
                f"holder {one.holder} is listed twice on one device",
                hint="name each holder once, with its whole memory",
            )
    return ordered


def _shares(
    occupants: Sequence[Occupant], held: list[int], length_us: int, work: Work, *, energy_method: str, split: str
) -> list[Share]:
    """Return the occupants' shares of a stretch, then nobody's; work beyond its length is scaled down to it."""
    by_occupant, source, sole = work
    free_us = length_us - sum(held)
    if len(occupants) > 1 or free_us:
        split = "shares" if free_us or len({occupant.weight for occupant in occupants}) > 1 else "even"
    confidence = Confidence.DERIVED
    if source not in OF_HOLDERS:
        confidence = Confidence.MEASURED if sole else Confidence.ESTIMATED
    if by_occupant is not None and sum(by_occupant) > length_us:
        by_occupant, confidence = split_exactly(length_us, by_occupant), Confidence.ESTIMATED
    shares = []
    for at, occupant in enumerate(occupants):
        trust = max(confidence, occupant.confidence)
        evidence = _evidence(occupant.method, source, energy_method, split, trust)
        shares.append(_held(occupant, evidence, length_us, held[at], None if by_occupant is None else by_occupant[at]))
    if free_us:
        shares.append(_nobody(State.IDLE, "free", free_us, energy_method, split))
    return shares


def _held(occupant: Occupant, evidence: Evidence, length_us: int, held_us: int, active_us: int | None) -> Share:
    memory_bytes = occupant.memory_bytes
    state, reason = _state_of(occupant, active_us)
    if memory_bytes is None:
        return Share(occupant.holder, state, reason, evidence, held_us, active_us)
    return Share(
        occupant.holder,
        state,
        reason,
        evidence,
        held_us,
        active_us,
        None,
        memory_bytes * length_us,
        length_us,
        memory_bytes,
    )


def _state_of(occupant: Occupant, active_us: int | None) -> tuple[State, str]:
    if not occupant.granted:
        return State.UNGRANTED, occupant.reason
    if active_us is None:
        return State.HELD_UNOBSERVED, ""
    if active_us:
        return State.ACTIVE, ""
    return State.HELD_IDLE, occupant.reason or ("memory_held" if occupant.memory_bytes else "unknown")


def _unheld(device: DeviceSnapshot, length_us: int, energy_method: str, split: str) -> Share:
    if device.available:
        return _nobody(State.IDLE, device.reason or "free", length_us, energy_method, split)
    if device.reason == UNREADABLE:
        return _nobody(State.UNOBSERVED, UNREADABLE, length_us, energy_method, split)
    return _nobody(State.UNAVAILABLE, device.reason or "gpu_lost", length_us, energy_method, split)


def _nobody(state: State, reason: str, length_us: int, energy_method: str, split: str) -> Share:
    if state is State.UNOBSERVED:
        evidence = _evidence("", NO_ACTIVITY, energy_method, split, Confidence.UNKNOWN)
        return Share(None, state, reason, evidence, length_us, None)
    evidence = _evidence("", "", energy_method, split, Confidence.MEASURED)
    return Share(None, state, reason, evidence, length_us, 0)


def _share_energy(energy_mj: int, floor_mj: int, sized: list[tuple[int, Share]]) -> None:
    """Give each share its energy: the idle floor by size and time, the rest by size and work (no work: by time)."""
    if len(sized) == 1:
        sized[0][1].energy_mj = energy_mj
        return
    by_time = [parts * share.held_us for parts, share in sized]
    by_work = [parts * (share.active_us or 0) for parts, share in sized]
    if not any(by_work):
        given = split_exactly(energy_mj, by_time)
    else:
        floor_mj = min(floor_mj, energy_mj)
        floor = split_exactly(floor_mj, by_time)
        work = split_exactly(energy_mj - floor_mj, by_work)
        given = [a + b for a, b in zip(floor, work, strict=True)]
    for (_, share), share_mj in zip(sized, given, strict=True):
        share.energy_mj = share_mj


@lru_cache(maxsize=4096)
def _evidence(holder: str, activity: str, energy: str, split: str, confidence: Confidence) -> Evidence:
    return Evidence(holder, activity, energy or NO_ENERGY, split, confidence)


def _device_key(device: DeviceSnapshot) -> str:
    return device.device


def _holder_key(occupant: Occupant) -> str:
    return occupant.holder

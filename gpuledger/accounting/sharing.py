"""Who had what of a board over one sampling step: time by weight, work as measured, energy by floor and work.

Every split is exact. The rule that was used is on each share's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from gpuledger.accounting.energy import NO_ENERGY
from gpuledger.accounting.intervals import cut
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant
from gpuledger.accounting.split import split_exactly, spread_exactly
from gpuledger.accounting.units import PPM, US_PER_MINUTE
from gpuledger.errors import ConservationError
from gpuledger.model import Confidence, Evidence, State

BY_DEVICE: Final = "device_utilization"
BY_PROCESS: Final = "process_utilization"
NO_ACTIVITY: Final = "none"
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
    start_us, end_us, shares = stretch
    pieces = list(cut(start_us, end_us, US_PER_MINUTE))
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


class _Work(NamedTuple):
    """How long each occupant worked, in their order, as reported (None: not known), and how that was found."""

    by_occupant: list[int] | None
    source: str
    sole: bool  # nobody else was there during the step, so that the device's work is this holder's


def _share_device(before: DeviceSnapshot, after: DeviceSnapshot | None, step: Step, split: str) -> list[Stretch]:
    start_us, end_us, length_us, _, energy_method, unobserved = step
    if unobserved:
        return [Stretch(start_us, end_us, [_nobody(State.UNOBSERVED, unobserved, length_us, energy_method, split)])]
    occupants = _in_order(_present(before))
    arrivals = _arrivals(occupants, after, step)
    if arrivals:
        return _share_with_arrivals(before, after, arrivals, step, split)
    if not occupants:
        return [Stretch(start_us, end_us, [_unheld(before, length_us, energy_method, split)])]
    held = split_exactly(length_us, [occupant.weight for occupant in occupants])
    work = _work(occupants, held, after, length_us)
    return [Stretch(start_us, end_us, _shares(occupants, held, work, energy_method, split))]


def _share_with_arrivals(
    before: DeviceSnapshot, after: DeviceSnapshot | None, arrivals: list[Occupant], step: Step, split: str
) -> list[Stretch]:
    """Cut the step at each arrival; a holder's work is spread over its stays by time."""
    everybody = _in_order([*_present(before), *arrivals])
    since_us = {occupant.holder: occupant.since_us or 0 for occupant in arrivals}
    stretches = list(pairwise([step.start_us, *sorted(set(since_us.values())), step.end_us]))
    stays = [[one for one in everybody if since_us.get(one.holder, start_us) <= start_us] for start_us, _ in stretches]
    held = [_held_by(stay, end_us - start_us) for stay, (start_us, end_us) in zip(stays, stretches, strict=True)]
    held_by_each = [sum(stay_held.get(one.holder, 0) for stay_held in held) for one in everybody]
    work = _work(everybody, held_by_each, after, step.length_us)
    worked: list[dict[str, int]] = [{} for _ in stays]
    for one, work_us in zip(everybody, work.by_occupant or (), strict=work.by_occupant is not None):
        there_us = [sum(stay_held.values()) if one.holder in stay_held else 0 for stay_held in held]
        for done, share_us in zip(worked, split_exactly(work_us, there_us), strict=True):
            done[one.holder] = share_us
    shared = []
    for (start_us, end_us), stay, stay_held, done in zip(stretches, stays, held, worked, strict=True):
        if stay:
            by_occupant = None if work.by_occupant is None else [done[one.holder] for one in stay]
            stay_work = _Work(by_occupant, work.source, work.sole)
            shares = _shares(stay, [*stay_held.values()], stay_work, step.energy_method, split)
        else:
            shares = [_unheld(before, end_us - start_us, step.energy_method, split)]
        shared.append(Stretch(start_us, end_us, shares))
    return shared


def _present(device: DeviceSnapshot) -> Sequence[Occupant]:
    return device.occupants if device.available else ()


def _held_by(stay: list[Occupant], length_us: int) -> dict[str, int]:
    if not stay:
        return {}
    held = split_exactly(length_us, [one.weight for one in stay])
    return {one.holder: held_us for one, held_us in zip(stay, held, strict=True)}


def _arrivals(present: Sequence[Occupant], after: DeviceSnapshot | None, step: Step) -> list[Occupant]:
    """Return the occupants that are new in `after` and known to have arrived inside the step."""
    arrivals: list[Occupant] = []
    if after is not None and after.available:
        for occupant in after.occupants:
            since_us = occupant.since_us
            if since_us is not None and step.start_us < since_us < step.end_us:
                arrivals.append(occupant)
    if arrivals:
        stayed = {occupant.holder for occupant in present}
        return [occupant for occupant in arrivals if occupant.holder not in stayed]
    return arrivals


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


def _work(occupants: Sequence[Occupant], held: list[int], after: DeviceSnapshot | None, length_us: int) -> _Work:
    """Return how long each occupant worked during the step: a sole one as the device did, several as each is reported.

    Where only the device's work is known, several share it by the time that they held.
    """
    sole = len(occupants) == 1
    if after is None:
        return _Work(None, NO_ACTIVITY, sole)
    by_holder = after.holder_activity_ppm
    if after.activity_ppm is not None and (sole or by_holder is None):
        return _Work(split_exactly(length_us * after.activity_ppm // PPM, held), BY_DEVICE, sole)
    if by_holder is not None:
        return _Work([length_us * by_holder.get(one.holder, 0) // PPM for one in occupants], BY_PROCESS, sole)
    return _Work(None, NO_ACTIVITY, sole)


def _shares(occupants: Sequence[Occupant], held: list[int], work: _Work, energy_method: str, split: str) -> list[Share]:
    """Return the occupants' shares of a stretch; work beyond its length is scaled down to it."""
    length_us = sum(held)
    by_occupant, source, sole = work
    if len(occupants) > 1:
        split = "even" if len({occupant.weight for occupant in occupants}) == 1 else "shares"
    confidence = Confidence.DERIVED
    if source is BY_DEVICE:
        confidence = Confidence.MEASURED if sole else Confidence.ESTIMATED
    if by_occupant is not None and sum(by_occupant) > length_us:
        by_occupant, confidence = split_exactly(length_us, by_occupant), Confidence.ESTIMATED
    shares = []
    for at, occupant in enumerate(occupants):
        evidence = _evidence(occupant.method, source, energy_method, split, confidence)
        shares.append(_held(occupant, evidence, length_us, held[at], None if by_occupant is None else by_occupant[at]))
    return shares


def _held(occupant: Occupant, evidence: Evidence, length_us: int, held_us: int, active_us: int | None) -> Share:
    memory_bytes = occupant.memory_bytes
    if active_us is None:
        state, reason = State.HELD_UNOBSERVED, ""
    elif active_us:
        state, reason = State.ACTIVE, ""
    else:
        state, reason = State.HELD_IDLE, "memory_held" if memory_bytes else "unknown"
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

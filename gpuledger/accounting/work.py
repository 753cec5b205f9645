"""Who did the work of a device over one sampling step, as far as that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.snapshot import DeviceSnapshot, Occupant
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import PPM

BY_DEVICE: Final = "device_utilization"
BY_PROCESS: Final = "process_utilization"
NO_PROCESS: Final = "no_process"  # the holder had no process on the device: it did no work there
NO_ACTIVITY: Final = "none"
OF_HOLDERS: Final = frozenset({BY_PROCESS, NO_PROCESS, NO_ACTIVITY})  # what is not the whole device's


class Work(NamedTuple):
    """How long each occupant worked, in their order, as reported (None: not known), and how that was found."""

    by_occupant: list[int] | None
    source: str
    sole: bool  # nobody else worked there during the step, so that the device's work is this holder's


def share_work(occupants: Sequence[Occupant], held: list[int], after: DeviceSnapshot | None, length_us: int) -> Work:
    """Return how long each occupant worked during the step: a sole one as the device did, several as each is reported.

    Where only the device's work is known, those that had a process share it by the time that they held. A holder
    without any process did no work, whether or not the device shows its activity.
    """
    if after is None:
        return Work(None, NO_ACTIVITY, sole=len(occupants) == 1)
    runs = _running(occupants, after)
    sole = len(occupants) == 1 or runs.count(True) == 1
    by_holder, device_ppm = after.holder_activity_ppm, after.activity_ppm
    if device_ppm is not None and (sole or by_holder is None):
        work_us = length_us * device_ppm // PPM
        if work_us and any(runs):
            held = [held_us if running else 0 for held_us, running in zip(held, runs, strict=True)]
        elif not any(runs) and not work_us:
            return Work([0] * len(occupants), NO_PROCESS, sole)
        return Work(_split_work(work_us, held), after.activity_method or BY_DEVICE, sole)
    if by_holder is not None:
        return Work([length_us * by_holder.get(one.holder, 0) // PPM for one in occupants], BY_PROCESS, sole)
    if not any(runs):
        return Work([0] * len(occupants), NO_PROCESS, sole)
    return Work(None, NO_ACTIVITY, sole)


def _running(occupants: Sequence[Occupant], after: DeviceSnapshot) -> list[bool]:
    """Tell of each occupant whether a process of it was seen at either end of the step."""
    if all(occupant.running for occupant in occupants):
        return [True] * len(occupants)
    later = {occupant.holder for occupant in after.occupants if occupant.running}
    return [occupant.running or occupant.holder in later for occupant in occupants]


def _split_work(work_us: int, held: list[int]) -> list[int]:
    return split_exactly(work_us, held) if any(held) else split_exactly(work_us, [1] * len(held))

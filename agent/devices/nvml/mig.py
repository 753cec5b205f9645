"""MIG arithmetic: names of profiles, sizes in parts of a GPU, and what the instances leave over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import ConservationError
from gpuledger.model import Device

_PROFILE: Final = re.compile(r"\bMIG (?P<profile>(?:\d+c\.)?\d+g\.\d+gb\S*)")
_GIB: Final = 1 << 30
_MEMORY_SLICES: Final = 8


def parse_profile_of_name(name: str) -> str:
    """Return the profile in a MIG device's name ("NVIDIA H100 80GB HBM3 MIG 1g.10gb"), or "" where it has none."""
    found = _PROFILE.search(name)
    return found["profile"] if found else ""


def profile_name(gpu_slices: int, compute_slices: int, memory_bytes: int, board_bytes: int, *, media: bool) -> str:
    """Return a profile's name from an instance's attributes, by the rule that NVIDIA's own tools use.

    The gigabytes in a name are the instance's memory rounded up to eighths of the board, times the board's size
    rounded up to whole GiB. `media` adds `+me`: an instance of part of the board that owns the media extensions.
    """
    eighths = -(-memory_bytes * _MEMORY_SLICES // board_bytes)
    gigabytes = round(eighths * -(-board_bytes // _GIB) / _MEMORY_SLICES)
    compute = "" if compute_slices == gpu_slices else f"{compute_slices}c."
    return f"{compute}{gpu_slices}g.{gigabytes}gb{'+me' if media else ''}"


def remainder_of(board: Device, instances: Iterable[Device]) -> Device | None:
    """Return the device that stands for the slices which `instances` leave over, or None where they fill the board.

    Raises ConservationError where the instances are larger than their board.
    """
    left = GPU_PARTS - sum(instance.parts for instance in instances)
    if left < 0:
        raise ConservationError(f"the MIG instances of {board.key} are {-left}/{GPU_PARTS} larger than the board")
    if left == 0:
        return None
    return Device(
        key=f"{board.key}/remainder",
        kind="remainder",
        model=board.model,
        parts=left,
        board=board.key,
        pci_bus_id=board.pci_bus_id,
        index=board.index,
    )

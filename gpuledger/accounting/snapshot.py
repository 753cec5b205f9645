"""What the meter is given: everything known about a node's GPUs at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gpuledger.accounting.units import GPU_PARTS
from gpuledger.model import Confidence


class Occupant(NamedTuple):
    """A holder that is present on a device at the snapshot's instant."""

    holder: str
    weight: int = 1  # granted replicas; time on a shared device is split by these
    memory_bytes: int | None = None
    since_us: int | None = None  # when it arrived, where that is known exactly (process start time)
    method: str = ""  # how the holder was found: Evidence.holder
    until_us: int | None = None  # when it left: only of those that have `passed`
    running: bool = True  # a process of it was seen; False: it holds by its grant alone
    granted: bool = True  # False: the device is a scheduler's to give, and was not given to this holder
    reason: str = ""  # why it does no work, where that is known (never_started, throttled), or what is ungranted
    confidence: Confidence = Confidence.MEASURED  # how far to trust that it is this holder


class DeviceSnapshot(NamedTuple):
    """One device at one instant.

    Activity is in parts per million and describes the interval that ends at this instant: of the device as a whole
    (`activity_ppm`), and of each holder that was on it during that interval (`holder_activity_ppm`, complete where not
    None: a holder that it does not name did no work). `replicas` says into how many equal grants the device is shared
    out, where a scheduler does so: what is not granted is idle.
    """

    device: str
    parts: int = GPU_PARTS
    available: bool = True
    reason: str = ""  # why it is not available (gpu_lost, ...), or why it is idle (stranded)
    occupants: tuple[Occupant, ...] = ()
    activity_ppm: int | None = None
    holder_activity_ppm: Mapping[str, int] | None = None
    activity_method: str = ""  # how `activity_ppm` was found, where not as device utilisation
    replicas: int | None = None
    passed: tuple[Occupant, ...] = ()  # who left since the snapshot before, or came and left, and when


class BoardSnapshot(NamedTuple):
    """One physical GPU at one instant: its energy, and the devices that it offers (itself, or its MIG instances)."""

    board: str
    devices: tuple[DeviceSnapshot, ...]
    epoch: str = ""  # since when `energy_mj` counts: changes when the driver reloads or the GPU resets
    energy_mj: int | None = None  # hardware counter; None: the board has none, or it could not be read
    power_mw: int | None = None
    idle_power_mw: int = 0  # what a board of this model draws with nobody on it; 0 where not known


class Snapshot(NamedTuple):
    """All boards of a node at one instant."""

    at_us: int
    boards: tuple[BoardSnapshot, ...]

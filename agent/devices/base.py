"""What every source of device readings answers: the seam between drivers and the rest of the agent.

None means "not supported or not readable here", never zero.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gpuledger.model import Device


class ProcessReading(NamedTuple):
    """A process that the driver lists on a GPU or MIG instance."""

    pid: int
    memory_bytes: int | None


class EndedProcess(NamedTuple):
    """A process that the driver saw on a GPU and that has ended since the previous reading (accounting mode)."""

    pid: int
    start_us: int
    end_us: int
    memory_max_bytes: int | None = None


class InstanceReading(NamedTuple):
    """A MIG instance at one instant; `device.board` names its GPU."""

    device: Device
    memory_used_bytes: int | None
    processes: tuple[ProcessReading, ...]
    utilization_ppm: int | None = None  # since the previous reading
    activity_method: str = ""  # how `utilization_ppm` was found
    gpu_instance: int | None = None
    compute_instance: int | None = None
    placement_start: int | None = None  # the memory slice of the GPU at which its GPU instance begins


class BoardReading(NamedTuple):
    """A physical GPU at one instant.

    With MIG enabled `instances` holds its instances, then its left-over slices as a device of kind `remainder`;
    otherwise it is empty and the board itself is the device.
    """

    device: Device
    fault: str = ""  # empty: healthy; else gpu_lost, reset_required, unreadable
    mig: bool = False
    energy_mj: int | None = None
    power_mw: int | None = None
    utilization_ppm: int | None = None  # any kernel running, over the driver's last sample period
    memory_used_bytes: int | None = None
    temperature_c: int | None = None
    processes: tuple[ProcessReading, ...] = ()
    process_activity_ppm: dict[int, int] | None = None  # per pid, since the previous reading; None: not known
    instances: tuple[InstanceReading, ...] = ()
    minor: int | None = None  # of /dev/nvidia<minor>: not the index
    ended: tuple[EndedProcess, ...] = ()


class DriverEvent(NamedTuple):
    """Something that the driver reported once (an XID)."""

    kind: str
    board: str
    code: int
    message: str


class NodeReading(NamedTuple):
    """Every GPU of the node at one instant."""

    epoch: str  # changes when energy counters start again for all boards (boot, driver load)
    driver_version: str
    boards: tuple[BoardReading, ...]
    events: tuple[DriverEvent, ...] = ()


class DeviceSource(Protocol):
    """A driver that can be read."""

    def read(self) -> NodeReading:
        """Return the current reading of every GPU. One failing GPU becomes a `fault`, never an exception.

        Raises DeviceError where the driver as a whole does not answer.
        """
        ...

    def close(self) -> None:
        """Release the driver."""
        ...

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
    kind: str = ""  # mps_client, mps_server (serves the clients and holds nothing itself); empty: any other process


class EndedProcess(NamedTuple):
    """A process that the driver saw on a GPU and that has ended since the previous reading (accounting mode)."""

    pid: int
    start_us: int
    end_us: int
    memory_max_bytes: int | None = None
    utilization_ppm: int | None = None  # any kernel running, over the process's life


class InstanceReading(NamedTuple):
    """A MIG instance at one instant; `device.board` names its GPU."""

    device: Device
    memory_used_bytes: int | None
    processes: tuple[ProcessReading, ...]
    utilization_ppm: int | None = None  # since the previous reading
    activity_method: str = ""  # how `utilization_ppm` was found
    gpu_instance: int | None = None
    compute_instance: int | None = None
    placement_start: int | None = None  # the first memory slice of its GPU instance; None where it may not be asked
    sm_active_ppm: int | None = None  # share of its multiprocessors at work, since the previous reading


class BoardHealth(NamedTuple):
    """What a physical GPU says about its condition. Counters only grow until the driver is loaded anew.

    Gauges are of this reading; everything after `slow_at_us` was read at that instant, at a slower pace.
    """

    throttle_reasons: int | None = None  # NVML's bits: 0x1 idle ... 0x40 hardware thermal, 0x80 power brake
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    memory_copy_ppm: int | None = None  # time in which memory was read or written
    memory_free_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    slow_at_us: int | None = None  # when the rest was read; None: never
    memory_temperature_c: int | None = None
    fan_percent: int | None = None
    encoder_ppm: int | None = None
    decoder_ppm: int | None = None
    recovery_action: int | None = None  # NVML's number: 0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, ...
    ecc_corrected_volatile: int | None = None  # since the driver was loaded
    ecc_uncorrected_volatile: int | None = None
    ecc_corrected_aggregate: int | None = None  # in the board's life
    ecc_uncorrected_aggregate: int | None = None
    retired_pages_single_bit: int | None = None
    retired_pages_double_bit: int | None = None
    retired_pages_pending: int | None = None  # 0 or 1
    rows_remapped_correctable: int | None = None
    rows_remapped_uncorrectable: int | None = None
    row_remap_pending: int | None = None  # 0 or 1
    row_remap_failure: int | None = None  # 0 or 1
    pcie_replays: int | None = None
    nvlink_crc_flit_errors: int | None = None  # of all links
    nvlink_crc_data_errors: int | None = None
    nvlink_replays: int | None = None
    nvlink_recoveries: int | None = None
    power_violation_ns: int | None = None  # time in which clocks were held down, by cause
    thermal_violation_ns: int | None = None
    sync_boost_violation_ns: int | None = None
    board_limit_violation_ns: int | None = None
    low_utilization_violation_ns: int | None = None
    reliability_violation_ns: int | None = None
    software_thermal_slowdown_ns: int | None = None
    hardware_thermal_slowdown_ns: int | None = None
    power_brake_slowdown_ns: int | None = None


class BoardReading(NamedTuple):
    """A physical GPU at one instant.

    With MIG enabled `instances` holds its instances, then its left-over slices as a device of kind `remainder`;
    otherwise it is empty and the board itself is the device.
    """

    device: Device
    fault: str = ""  # empty: healthy; else gpu_lost, reset_required, row_remap_failure, ..., unreadable
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
    sm_active_ppm: int | None = None  # share of the multiprocessors at work, since the previous reading
    process_seen_us: dict[int, tuple[int, int]] | None = (
        None  # per pid, its first and last sample since the last reading
    )
    health: BoardHealth | None = None


class DriverEvent(NamedTuple):
    """Something that the driver, or the kernel in its name, reported once (an XID), or that changed for good."""

    kind: str
    board: str
    code: int
    message: str
    severity: str = "warning"  # info, warning, error
    at_us: int | None = None  # where it is known better than by the reading that it came with
    pid: int | None = None  # the process that it struck, where the kernel names it
    details: dict[str, str] | None = None


class SamplerStats(NamedTuple):
    """How one family of telemetry goes, over all boards since the agent started."""

    name: str
    successes: int = 0
    failures: int = 0
    duration_s: float = 0.0  # of its last round over all boards
    last_error: str = ""


class NodeReading(NamedTuple):
    """Every GPU of the node at one instant."""

    epoch: str  # changes when energy counters start again for all boards (boot, driver load)
    driver_version: str
    boards: tuple[BoardReading, ...]
    events: tuple[DriverEvent, ...] = ()
    samplers: tuple[SamplerStats, ...] = ()


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

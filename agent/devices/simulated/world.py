"""What a simulated driver shows: the physical truth of a node's GPUs as a function of time.

A world knows nothing of NVML, and the driver nothing of teams: scenarios make worlds, the driver speaks NVML for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol


class SliceSpec(NamedTuple):
    """A MIG instance of a board. `index` is its NVML MIG index (indices may have holes)."""

    index: int  # type: ignore[assignment]  # a field, where a tuple has a method
    uuid: str  # MIG-...
    gpu_instance: int
    compute_instance: int
    profile: str  # 1g.10gb
    slices: int  # compute slices
    memory_bytes: int
    placement_start: int = 0  # the first memory slice of its GPU instance


class BoardSpec(NamedTuple):
    """What never changes about a simulated board. `capture` names the recorded driver whose quirks it shows."""

    uuid: str  # GPU-...
    capture: str  # h100-sxm, a100-40gb, l40s, t4
    index: int  # type: ignore[assignment]  # a field, where a tuple has a method
    pci_bus_id: str
    serial: str = ""
    minor: int = 0
    slices: tuple[SliceSpec, ...] = ()  # non-empty: MIG is enabled
    accounting: bool = False  # an administrator switched accounting mode on (which MIG forbids)


class ProcessState(NamedTuple):
    """A process on a board (or on one of its instances) at one instant."""

    pid: int
    memory_bytes: int
    sm_ppm: int  # over the period since `previous_us` of board_at; whole percents where a driver reports percents
    gpu_instance: int | None = None
    kind: str = ""  # mps_client, mps_server
    came_us: int | None = None  # where it came or left during the period
    left_us: int | None = None


class EndedState(NamedTuple):
    """A process that ended, as accounting mode keeps it."""

    pid: int
    start_us: int
    end_us: int
    memory_bytes: int
    percent: int  # of its life in which a kernel ran


class Condition(NamedTuple):
    """What a board says about its condition, where that differs from its capture."""

    throttle_reasons: int = 0
    fields: Mapping[int, int] = MappingProxyType({})  # values of NVML's fields by their number


HEALTHY: Final = Condition()


class BoardState(NamedTuple):
    """A board at one instant. Activity describes the period `(previous_us, at_us]`."""

    lost: bool = False
    energy_mj: int = 0  # since the counter's epoch began
    power_mw: int = 0
    utilization_ppm: int = 0
    memory_used_bytes: int = 0
    temperature_c: int = 30
    processes: tuple[ProcessState, ...] = ()
    finished: tuple[ProcessState, ...] = ()  # left during the period, still in the driver's utilisation buffer
    xids: tuple[int | tuple[int, int, int], ...] = ()  # reported in the period; with GPU and compute instance on MIG
    condition: Condition = HEALTHY
    condition_events: tuple[int, ...] = ()  # types of NVML's events that were reported during the period, beside XIDs
    ended: tuple[EndedState, ...] = ()  # during the period
    sm_active_ppm: int | None = None  # share of the multiprocessors at work; None: as much as `utilization_ppm`
    clock_percent: int = 100  # of the clock in its capture


class World(Protocol):
    """A node's GPUs over time."""

    def boards(self) -> tuple[BoardSpec, ...]:
        """Return the node's boards in NVML order."""
        ...

    def epoch(self, at_us: int) -> str:
        """Return the driver load that is current at `at_us`; energy counters begin at 0 in each."""
        ...

    def board_at(self, index: int, at_us: int, previous_us: int) -> BoardState:
        """Return the state of board `index` at `at_us`; activity, xids and finished since `previous_us`."""
        ...

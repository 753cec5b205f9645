"""One MIG instance through NVML: its static facts, read once, and its readings."""

from __future__ import annotations

from typing import Any, Final

import pynvml

from agent.devices.base import InstanceReading
from agent.devices.nvml import codes
from agent.devices.nvml.library import answer_or_none
from agent.devices.nvml.mig import parse_profile_of_name, profile_name
from agent.devices.nvml.processes import ProcessLists
from gpuledger.accounting.units import gpu_parts
from gpuledger.errors import ConservationError
from gpuledger.model import Device

_MIB: Final = 1 << 20


class NvmlInstance:
    """A MIG instance of `board`, of whose `slices` compute slices it has some. Without `gauges` no memory is read."""

    def __init__(self, handle: Any, parent: Any, board: Device, slices: int, *, gauges: bool) -> None:  # noqa: ANN401 - handles
        attributes = pynvml.nvmlDeviceGetAttributes_v2(handle)
        self._handle = handle
        self._has_memory = gauges
        self._processes = ProcessLists(handle)
        self._gpu_instance: int | None = answer_or_none(pynvml.nvmlDeviceGetGpuInstanceId, handle)
        self._compute_instance: int | None = answer_or_none(pynvml.nvmlDeviceGetComputeInstanceId, handle)
        self._placement_start = _placement_start(parent, self._gpu_instance)
        self.device = Device(
            key=pynvml.nvmlDeviceGetUUID(handle),
            kind="mig",
            model=board.model,
            parts=_parts(attributes.computeInstanceSliceCount, slices, board),
            board=board.key,
            mig_profile=_profile(handle, attributes, board, slices),
            memory_bytes=attributes.memorySizeMB * _MIB,
            pci_bus_id=board.pci_bus_id,
            index=board.index,
        )

    def read(self) -> InstanceReading:
        """Return the instance's memory and processes. Raises NVMLError where the handle is dead."""
        return InstanceReading(
            self.device,
            self._memory_used(),
            self._processes.read(),
            gpu_instance=self._gpu_instance,
            compute_instance=self._compute_instance,
            placement_start=self._placement_start,
        )

    def _memory_used(self) -> int | None:
        if not self._has_memory:
            return None
        try:
            used: int = pynvml.nvmlDeviceGetMemoryInfo(self._handle, pynvml.nvmlMemory_v2).used
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            self._has_memory = False
            return None
        return used


def _placement_start(parent: Any, gpu_instance: int | None) -> int | None:  # noqa: ANN401 - a handle of NVML
    """Return where on its board a GPU instance begins; None where the agent may not ask (it takes privilege)."""
    if gpu_instance is None:
        return None
    handle = answer_or_none(pynvml.nvmlDeviceGetGpuInstanceById, parent, gpu_instance)
    info = None if handle is None else answer_or_none(pynvml.nvmlGpuInstanceGetInfo, handle)
    return None if info is None else int(info.placement.start)


def _parts(compute_slices: int, slices: int, board: Device) -> int:
    try:
        return gpu_parts(compute_slices, slices)
    except ValueError as error:
        raise ConservationError(f"a MIG instance of {board.key} does not fit it: {error}") from error


def _profile(handle: Any, attributes: Any, board: Device, slices: int) -> str:  # noqa: ANN401 - handles and structs
    """Return the profile as the driver names it, else as its attributes spell it."""
    named = parse_profile_of_name(pynvml.nvmlDeviceGetName(handle))
    if named or board.memory_bytes is None:
        return named
    return profile_name(
        attributes.gpuInstanceSliceCount,
        attributes.computeInstanceSliceCount,
        attributes.memorySizeMB * _MIB,
        board.memory_bytes,
        media=attributes.sharedOfaCount > 0 and attributes.gpuInstanceSliceCount < slices,
    )

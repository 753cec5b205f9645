"""The processes that NVML lists on a GPU or a MIG instance, compute and graphics merged."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import pynvml

from agent.devices.base import ProcessReading
from agent.devices.nvml import codes

_COMPUTE: Final = "nvmlDeviceGetComputeRunningProcesses_v3"
_GRAPHICS: Final = "nvmlDeviceGetGraphicsRunningProcesses_v3"
_NOT_AVAILABLE: Final = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
_INFO: Final = pynvml.c_nvmlProcessInfo_v3_t
_MOST: Final = 1 << 16  # no GPU has more processes: a driver that asks for more room will never be content
_ROOM: Final = 8  # entries in the first buffer; it grows to what a driver asks for


class ProcessLists:
    """Reads the process lists of one device.

    It calls the library's functions with a buffer that stays, since pynvml's wrappers ask twice and build an object
    of every entry, which takes ten times as long.
    """

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._count = ctypes.c_uint()
        self._count_address = ctypes.byref(self._count)
        self._buffer = (_INFO * _ROOM)()
        self._has_graphics = True

    def read(self) -> tuple[ProcessReading, ...]:
        """Return the processes on the device, one entry for each pid.

        A process that computes and draws stands in both lists with the same memory, so the larger figure counts once.
        Raises NVMLError where the list of compute processes cannot be had: no list is not the same as nobody.
        """
        memory: dict[int, int | None] = {}
        self._list(_COMPUTE, memory)
        if self._has_graphics:
            self._list_graphics(memory)
        return tuple([ProcessReading(pid, used) for pid, used in memory.items()]) if memory else ()

    def _list_graphics(self, memory: dict[int, int | None]) -> None:
        try:
            self._list(_GRAPHICS, memory)
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            self._has_graphics = False

    def _list(self, name: str, memory: dict[int, int | None]) -> None:
        """Add the library's list called `name` to `memory`, by pid."""
        function = getattr(pynvml.nvmlLib, name, None)
        if function is None:
            raise pynvml.NVMLError(codes.FUNCTION_NOT_FOUND)
        count, room = self._count, len(self._buffer)
        count.value = room
        code = function(self._handle, self._count_address, self._buffer)
        while code == codes.INSUFFICIENT_SIZE:
            room = max(2 * room, count.value + _ROOM)
            if room > _MOST:
                break
            self._buffer = (_INFO * room)()
            count.value = room
            code = function(self._handle, self._count_address, self._buffer)
        if code != codes.SUCCESS:
            raise pynvml.NVMLError(code)
        for position in range(count.value):
            entry = self._buffer[position]
            used = entry.usedGpuMemory
            _merge(memory, entry.pid, None if used == _NOT_AVAILABLE else used)


def _merge(memory: dict[int, int | None], pid: int, used: int | None) -> None:
    before = memory.get(pid)
    memory[pid] = used if before is None else max(before, used or 0)

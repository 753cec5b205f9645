"""The processes that NVML lists on a GPU or a MIG instance: compute, graphics and MPS, merged."""

from __future__ import annotations

import ctypes
import struct
from typing import Any, Final

import pynvml

from agent.devices.base import ProcessReading
from agent.devices.nvml import codes
from agent.devices.nvml.library import function, has

MPS_CLIENT: Final = "mps_client"
MPS_SERVER: Final = "mps_server"
_SERVER_NAME: Final = "nvidia-cuda-mps-server"
_COMPUTE: Final = "nvmlDeviceGetComputeRunningProcesses_v3"
_GRAPHICS: Final = "nvmlDeviceGetGraphicsRunningProcesses_v3"
_MPS: Final = "nvmlDeviceGetMPSComputeRunningProcesses_v3"
_NOT_AVAILABLE: Final = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
_NAME_ROOM: Final = 256
_MOST: Final = 1 << 16  # no GPU has more processes: a driver that asks for more room will never be content
_ROOM: Final = 8  # entries in the first buffer; it grows to what a driver asks for


_ENTRY: Final = struct.Struct("@IxxxxQII")  # pid, usedGpuMemory, gpuInstanceId, computeInstanceId
_LONG_ENTRY: Final = struct.Struct("@IxxxxQIIQ")  # with usedGpuCcProtectedMemory: drivers 535.43 to 535.86 only


def entry_layout() -> struct.Struct:
    """Return the layout of the library's lists, which go by one name: what else it can do tells which one it has."""
    knows_protected_memory = has("nvmlDeviceGetConfComputeMemSizeInfo")
    long = knows_protected_memory and not has("nvmlDeviceGetRunningProcessDetailList")
    return _LONG_ENTRY if long else _ENTRY


class ProcessLists:
    """Reads the process lists of one device.

    It calls the library's functions with a buffer that stays, since pynvml's wrappers ask twice and build an object
    of every entry, which takes ten times as long.
    """

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._count = ctypes.c_uint()
        self._count_address = ctypes.byref(self._count)
        self._layout = entry_layout()
        self._buffer = self._make_buffer(_ROOM)
        self._has_graphics = True
        self._has_mps = True
        self._maybe_server: dict[int, bool | None] = {}  # of each listed pid: yes, no, or its name cannot be had

    def read(self) -> tuple[ProcessReading, ...]:
        """Return the processes on the device, one entry for each pid.

        A process that stands in several lists has the same memory in each, so the larger figure counts once. The
        server of MPS is listed as a process beside its clients, and marked. Raises NVMLError where the list of
        compute processes cannot be had: no list is not the same as nobody.
        """
        memory: dict[int, int | None] = {}
        self._list(_COMPUTE, memory)
        kinds = self._add_mps_clients(memory) if memory else {}
        if self._has_graphics:
            self._has_graphics = self._list_if_known(_GRAPHICS, memory)
        if not memory:
            return ()
        return tuple([ProcessReading(pid, used, kinds.get(pid, "")) for pid, used in memory.items()])

    def _add_mps_clients(self, memory: dict[int, int | None]) -> dict[int, str]:
        """Add the clients of MPS to `memory`, and return which pid is a client or a server.

        There are clients only where there is a server, so the list is not asked for where all names are others.
        """
        known = self._maybe_server
        self._maybe_server = {pid: known[pid] if pid in known else _is_mps_server(pid) for pid in memory}
        if not any(maybe is not False for maybe in self._maybe_server.values()):
            return {}
        kinds = {pid: MPS_SERVER for pid, maybe in self._maybe_server.items() if maybe}
        if self._has_mps:
            clients: dict[int, int | None] = {}
            self._has_mps = self._list_if_known(_MPS, clients)
            for pid, used in clients.items():
                _merge(memory, pid, used)
                kinds[pid] = MPS_CLIENT
        return kinds

    def _list_if_known(self, name: str, memory: dict[int, int | None]) -> bool:
        """Add a list of the library to `memory`; return False where it has no such list."""
        try:
            self._list(name, memory)
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            return False
        return True

    def _list(self, name: str, memory: dict[int, int | None]) -> None:
        """Add the library's list called `name` to `memory`, by pid."""
        ask = function(name)
        count, room = self._count, len(self._buffer) // self._layout.size
        count.value = room
        code = ask(self._handle, self._count_address, self._buffer)
        while code == codes.INSUFFICIENT_SIZE:
            room = max(2 * room, count.value + _ROOM)
            if room > _MOST:
                break
            self._buffer = self._make_buffer(room)
            count.value = room
            code = ask(self._handle, self._count_address, self._buffer)
        if code != codes.SUCCESS:
            raise pynvml.NVMLError(code)
        if count.value:
            for pid, used, *_ in self._layout.iter_unpack(
                memoryview(self._buffer).cast("B")[: count.value * self._layout.size]
            ):
                _merge(memory, pid, None if used == _NOT_AVAILABLE else used)

    def _make_buffer(self, room: int) -> ctypes.Array[ctypes.c_char]:
        return ctypes.create_string_buffer(room * self._layout.size)


def _is_mps_server(pid: int) -> bool | None:
    """Tell whether a process is the server of MPS; None where the driver may not say its name."""
    name = ctypes.create_string_buffer(_NAME_ROOM)
    try:
        code = function("nvmlSystemGetProcessName")(pid, name, _NAME_ROOM)
    except pynvml.NVMLError:
        return None  # a library without that function
    if code not in (codes.SUCCESS, codes.INSUFFICIENT_SIZE):
        return None
    words = name.value.decode(errors="replace").split()
    return bool(words) and words[0].rpartition("/")[2] == _SERVER_NAME


def _merge(memory: dict[int, int | None], pid: int, used: int | None) -> None:
    before = memory.get(pid)
    memory[pid] = used if before is None else max(before, used or 0)

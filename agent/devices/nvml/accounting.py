"""Accounting mode: the driver's own record of processes that have ended, where an administrator switched it on."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from typing import Any, Final

import pynvml

from agent.devices.base import EndedProcess
from agent.devices.nvml import codes
from agent.devices.nvml.library import function
from gpuledger.errors import DeviceError

_PPM_PER_PERCENT: Final = 10_000
_US_PER_MS: Final = 1_000
_ROOM: Final = 64  # pids in the first buffer; it grows to what a driver asks for
_MOST: Final = 1 << 16
_STATS_PER_READING: Final = 500  # the rest of a crowd is asked about at the next reading
_EARLIER: Final = -1  # the start of a process that had ended before we first looked


class AccountingReader:
    """Finds the processes of one board that ended since the previous reading.

    The driver's buffer is circular and keeps both the running and the ended: what was told is remembered by pid and
    start. `look_again` notices that the mode was switched on or off.
    """

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._enabled: bool | None = None  # None: not asked yet
        self._told: dict[int, int] | None = None  # start of each ended process that was told, by pid
        self._buffer = (ctypes.c_uint * _ROOM)()
        self._count = ctypes.c_uint()

    @property
    def mark(self) -> dict[int, int] | None:
        """Return who was told of, by pid and start: whoever reads the board next goes on from there."""
        return self._told

    def go_on_from(self, mark: dict[int, int] | None) -> None:
        """Take over what was told before NVML was opened anew."""
        self._told = mark

    @property
    def off(self) -> bool:
        """Whether the mode is known to be off."""
        return self._enabled is False

    def look_again(self) -> None:
        """Ask for the mode at the next reading."""
        self._enabled = None

    def read(self, listed: Collection[int], seen: Collection[int]) -> tuple[EndedProcess, ...]:
        """Return the processes that ended; `listed` are on the board now, `seen` worked since the previous reading.

        Raises DeviceError where the board does not answer, and NVMLError where the driver is gone.
        """
        try:
            if self._enabled is None:
                self._enabled = self._mode()
            return self._read(listed, seen) if self._enabled else ()
        except pynvml.NVMLError as error:
            if error.value in codes.DRIVER_GONE:
                raise
            if error.value in codes.ABSENT:
                self._enabled = False
                return ()
            raise DeviceError(f"accounting: {error} (NVML error {error.value})", hint="see `nvidia-smi -q`") from error

    def _mode(self) -> bool:
        return bool(pynvml.nvmlDeviceGetAccountingMode(self._handle) == pynvml.NVML_FEATURE_ENABLED)

    def _read(self, listed: Collection[int], seen: Collection[int]) -> tuple[EndedProcess, ...]:
        pids = self._pids()
        if self._told is None:  # what had ended before the first reading is not new
            self._told = {pid: _EARLIER for pid in pids if pid not in listed}
            return ()
        told = self._told
        ended = []
        asked = 0
        for pid in pids:
            if pid in listed or (pid in told and pid not in seen) or asked >= _STATS_PER_READING:
                continue
            asked += 1
            found = self._ended(pid)
            if found is not None and told.get(pid) != found.start_us:
                told[pid] = found.start_us
                ended.append(found)
        kept = set(pids)
        self._told = {pid: start for pid, start in told.items() if pid in kept and pid not in listed}
        return tuple(ended)

    def _pids(self) -> list[int]:
        ask = function("nvmlDeviceGetAccountingPids")
        while True:
            room = len(self._buffer)
            self._count.value = room
            code = ask(self._handle, ctypes.byref(self._count), self._buffer)
            if code == codes.INSUFFICIENT_SIZE and room < _MOST:
                self._buffer = (ctypes.c_uint * min(_MOST, max(2 * room, self._count.value)))()
                continue
            if code != codes.SUCCESS:
                raise pynvml.NVMLError(code)
            return self._buffer[: self._count.value]

    def _ended(self, pid: int) -> EndedProcess | None:
        """Return an ended process; None where it still runs or has left the buffer meanwhile."""
        try:
            stats = pynvml.nvmlDeviceGetAccountingStats(self._handle, pid)
        except pynvml.NVMLError as error:
            if error.value != codes.NOT_FOUND:
                raise
            return None
        if stats.isRunning or stats.time == 0:  # the time of a process that runs is reported as 0
            return None
        start_us = int(stats.startTime)
        percent = stats.gpuUtilization
        return EndedProcess(
            pid,
            start_us,
            start_us + stats.time * _US_PER_MS,
            stats.maxMemoryUsage,
            percent * _PPM_PER_PERCENT if percent <= 100 else None,
        )

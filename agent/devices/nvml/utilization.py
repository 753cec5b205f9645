"""The driver's buffer of utilisation samples: which processes worked lately, also those that are gone by now."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.nvml.activity import Sample
from agent.devices.nvml.library import function

_SAMPLES: Final = "nvmlDeviceGetProcessUtilization"
_INFO: Final = "nvmlDeviceGetProcessesUtilizationInfo"  # R550 and newer
_SAMPLE: Final = pynvml.c_nvmlProcessUtilizationSample_t
_INFO_ENTRY: Final = pynvml.c_nvmlProcessUtilizationInfo_v1_t
_INFO_HEAD: Final = pynvml.c_nvmlProcessesUtilizationInfo_v1_t
_SAMPLE_LAYOUT: Final = struct.Struct("@IxxxxQIIII")  # pid, timeStamp, smUtil, memUtil, encUtil, decUtil
_INFO_LAYOUT: Final = struct.Struct("@QIIIIIIIxxxx")  # timeStamp, pid, smUtil, and five of other engines
_ROOM: Final = 128
_MOST: Final = 1 << 16
_NOBODY: Final = frozenset({codes.NOT_FOUND})  # no process worked in the time that was asked about


class ProcessSamples:
    """Reads the samples of one board. Where the library or the board has one of the two calls, that is used."""

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._calls: tuple[Callable[[int], list[Sample]], ...] = (self._by_samples, self._by_info)
        self._samples = (_SAMPLE * _ROOM)()
        self._infos: ctypes.Array[Any] | None = None
        self._count = ctypes.c_uint()
        self._count_address = ctypes.byref(self._count)
        self._since = ctypes.c_ulonglong()

    def forget_absent(self) -> None:
        """Try both calls again: what a board supports depends on whether it is cut."""
        self._calls = (self._by_samples, self._by_info)

    def read(self, last_seen_us: int) -> list[Sample] | None:
        """Return the samples newer than `last_seen_us`; None where the driver cannot tell processes apart.

        Raises NVMLError where the board does not answer.
        """
        while self._calls:
            try:
                return self._calls[0](last_seen_us)
            except pynvml.NVMLError as error:
                if error.value not in codes.ABSENT:
                    raise
                self._calls = self._calls[1:]
        return None

    def _by_samples(self, last_seen_us: int) -> list[Sample]:
        ask, count = function(_SAMPLES), self._count
        self._since.value = last_seen_us
        while True:
            room = count.value = len(self._samples)
            code = ask(self._handle, self._samples, self._count_address, self._since)
            if code == codes.INSUFFICIENT_SIZE and room < _MOST:
                self._samples = (_SAMPLE * min(_MOST, max(2 * room, count.value)))()
                continue
            taken = _taken(self._samples, _SAMPLE_LAYOUT, _counted(code, count.value))
            return [Sample(entry[0], entry[1], entry[2]) for entry in taken]

    def _by_info(self, last_seen_us: int) -> list[Sample]:
        ask, infos = function(_INFO), self._infos or (_INFO_ENTRY * _ROOM)()
        while True:
            self._infos = infos
            pointer = ctypes.cast(infos, ctypes.POINTER(_INFO_ENTRY))
            head = _INFO_HEAD(pynvml.ProcessesUtilizationInfo_v1, len(infos), last_seen_us, pointer)
            code = ask(self._handle, ctypes.byref(head))
            if code == codes.INSUFFICIENT_SIZE and len(infos) < _MOST:
                infos = (_INFO_ENTRY * min(_MOST, max(2 * len(infos), head.processSamplesCount)))()
                continue
            taken = _taken(infos, _INFO_LAYOUT, _counted(code, head.processSamplesCount))
            return [Sample(entry[1], entry[0], entry[2]) for entry in taken]


def _counted(code: int, count: int) -> int:
    """Return how many samples there are. Raises NVMLError where the call failed."""
    if code == codes.SUCCESS:
        return count
    if code in _NOBODY:
        return 0
    raise pynvml.NVMLError(code)


def _taken(buffer: ctypes.Array[Any], layout: struct.Struct, count: int) -> Iterable[tuple[int, ...]]:
    """Return the first entries of a buffer, unpacked at once: a struct of ctypes takes far longer for each of them."""
    if not count:
        return ()
    return layout.iter_unpack(memoryview(buffer).cast("B")[: min(count, len(buffer)) * layout.size])

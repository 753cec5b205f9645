"""The performance counters of the simulated driver (GPM): samples are memory of the driver's, figures lie between two.

A sample holds how much work a board or one of its instances had done by an instant; a figure is the mean in between.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, NamedTuple

import pynvml

from agent.devices.nvml import codes
from agent.devices.simulated.board import SimulatedBoard
from agent.devices.simulated.boundary import write_uint
from agent.devices.simulated.world import SliceSpec
from gpuledger.accounting.units import PPM
from gpuledger.clock import Clock

_LEAST_APART_US: Final = 100_000
_FIRST_HANDLE: Final = 0x6B0000
_HEAD: Final = struct.Struct("@IIPP")  # version, numMetrics, sample1, sample2
_METRIC: Final = ctypes.sizeof(pynvml.c_nvmlGpmMetric_t)
_ANSWER: Final = struct.Struct("@id")  # nvmlReturn, value
_WORK_OF: Final = {pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL: 0, pynvml.NVML_GPM_METRIC_SM_UTIL: 1}


class _Sample(NamedTuple):
    """What a sample holds: the counters of one board or instance at an instant."""

    source: tuple[int, int | None]
    at_us: int
    work: tuple[int, int]


class PerformanceCounters:
    """The samples that a driver lent. `lent` tells how many were not given back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: dict[int, _Sample | None] = {}
        self._handles = count(_FIRST_HANDLE, 0x10)

    @property
    def lent(self) -> int:
        """Return how many samples are out."""
        return len(self._samples)

    def functions(self) -> Mapping[str, Callable[..., int]]:
        """Return the functions of the library that need no device."""
        return {
            "nvmlGpmSampleAlloc": self._alloc,
            "nvmlGpmSampleFree": self._free,
            "nvmlGpmMetricsGet": self._metrics,
        }

    def device_functions(self) -> Mapping[str, Callable[..., int]]:
        """Return the functions of the library that take a device."""
        return {
            "nvmlGpmQueryDeviceSupport": _query_support,
            "nvmlGpmSampleGet": self._sample_board,
            "nvmlGpmMigSampleGet": self._sample_instance,
        }

    def _alloc(self, out: int) -> int:
        handle = next(self._handles)
        self._samples[handle] = None
        ctypes.c_void_p.from_address(out).value = handle
        return codes.SUCCESS

    def _free(self, handle: int) -> int:
        if handle not in self._samples:
            return codes.INVALID_ARGUMENT
        del self._samples[handle]
        return codes.SUCCESS

    def _sample_board(self, board: SimulatedBoard, part: SliceSpec | None, handle: int) -> int:
        return self._sample(board, None if part is None else part.gpu_instance, handle)

    def _sample_instance(self, board: SimulatedBoard, part: SliceSpec | None, gpu_instance: int, handle: int) -> int:
        if part is not None or gpu_instance not in {piece.gpu_instance for piece in board.slices.values()}:
            return codes.INVALID_ARGUMENT
        return self._sample(board, gpu_instance, handle)

    def _sample(self, board: SimulatedBoard, gpu_instance: int | None, handle: int) -> int:
        if not board.capture.gpm:
            return codes.NOT_SUPPORTED
        if handle not in self._samples:
            return codes.INVALID_ARGUMENT
        source = (board.handle, gpu_instance)
        self._samples[handle] = _Sample(source, self._clock.now_us(), board.worked(gpu_instance))
        return codes.SUCCESS

    def _metrics(self, question: int) -> int:
        version, number, first, second = _HEAD.unpack(ctypes.string_at(question, _HEAD.size))
        if version != pynvml.NVML_GPM_METRICS_GET_VERSION:
            return codes.ARGUMENT_VERSION_MISMATCH
        earlier, later = self._samples.get(first), self._samples.get(second)
        if earlier is None or later is None or earlier.source != later.source:
            return codes.INVALID_ARGUMENT
        length_us = later.at_us - earlier.at_us
        if length_us < _LEAST_APART_US:
            return codes.UNKNOWN
        for address in range(question + _HEAD.size, question + _HEAD.size + number * _METRIC, _METRIC):
            which = _WORK_OF.get(ctypes.c_uint.from_address(address).value)
            if which is None:
                answer = _ANSWER.pack(codes.NOT_SUPPORTED, 0.0)
            else:
                ppm = (later.work[which] - earlier.work[which]) / length_us
                answer = _ANSWER.pack(codes.SUCCESS, ppm * 100 / PPM)
            ctypes.memmove(address + 4, answer[:4], 4)
            ctypes.memmove(address + 8, answer[8:], 8)
        return codes.SUCCESS


def _query_support(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlGpmQueryDeviceSupport: a caller states the struct's version in its first word."""
    if ctypes.c_uint.from_address(out).value != pynvml.NVML_GPM_SUPPORT_VERSION:
        return codes.ARGUMENT_VERSION_MISMATCH
    write_uint(out + 4, int(board.capture.gpm))
    return codes.SUCCESS

"""GPU performance monitoring (Hopper and newer): how much of a board, or of a slice of it, was at work.

A figure is made of two samples of counters, the earlier of which is kept from one reading to the next. Boards are
sampled one after the other, never at the same time: drivers were seen to crash on that.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import pynvml

from agent.devices.nvml import codes
from agent.devices.nvml.library import answer_or_none, function
from gpuledger.accounting.units import PPM
from gpuledger.errors import DeviceError

METHOD: Final = "gpm"
LEAST_APART_US: Final = 100_000  # the driver renews its counters no faster
_GRAPHICS: Final = pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL
_SM: Final = pynvml.NVML_GPM_METRIC_SM_UTIL
_BELIEVABLE_PERCENT: Final = 105.0  # a little above the whole is rounding between two counters; more is no figure


class GpmActivity(NamedTuple):
    """What was at work between two samples. None: the driver gave no figure that can be believed."""

    any_ppm: int | None  # time in which any kernel ran
    sm_ppm: int | None  # share of the multiprocessors that worked


_NOT_KNOWN: Final = GpmActivity(None, None)


class _Question(ctypes.Structure):
    """The head of NVML's nvmlGpmMetricsGet_t: the driver reads and writes as many metrics as it is told."""

    _fields_ = (
        ("version", ctypes.c_uint),
        ("numMetrics", ctypes.c_uint),
        ("sample1", pynvml.c_nvmlGpmSample_t),
        ("sample2", pynvml.c_nvmlGpmSample_t),
        ("metrics", pynvml.c_nvmlGpmMetric_t * 2),
    )


def supports_gpm(handle: Any) -> bool:  # noqa: ANN401 - a handle of NVML
    """Tell whether the board behind `handle` has these counters. Raises NVMLError where it is gone."""
    support = answer_or_none(pynvml.nvmlGpmQueryDeviceSupport, handle)
    return support is not None and bool(support.isSupportedDevice)


class GpmReader:
    """Reads the activity of a board, or of the GPU instance `gpu_instance` of it. Close it: samples are memory."""

    def __init__(self, handle: Any, gpu_instance: int | None = None) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._gpu_instance = gpu_instance
        self._samples: list[Any] = []  # the earlier one, and the one to write next
        self._sampled_us: int | None = None
        self._absent = False
        self._question = _Question(version=pynvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=2)
        for metric, number in zip(self._question.metrics, (_GRAPHICS, _SM), strict=True):
            metric.metricId = number

    def read(self, now_us: int) -> GpmActivity:
        """Return the activity since the sample before; nothing is known at the first one.

        Raises DeviceError where the board does not answer, and NVMLError where the driver is gone.
        """
        if self._absent:
            return _NOT_KNOWN
        earlier_us = self._sampled_us
        if earlier_us is not None and 0 <= now_us - earlier_us < LEAST_APART_US:
            return _NOT_KNOWN
        try:
            self._take_sample()
            self._sampled_us = now_us
            return _NOT_KNOWN if earlier_us is None or earlier_us > now_us else self._compare()
        except pynvml.NVMLError as error:
            self._sampled_us = None
            if error.value in codes.DRIVER_GONE:
                raise
            if error.value in codes.ABSENT:
                self._absent = True
                return _NOT_KNOWN
            raise DeviceError(f"gpm: {error} (NVML error {error.value})", hint="see `dmesg | grep NVRM`") from error

    def close(self) -> None:
        """Give the samples back. The driver must still be open."""
        samples, self._samples, self._sampled_us = self._samples, [], None
        for sample in samples:
            pynvml.nvmlGpmSampleFree(sample)

    def _take_sample(self) -> None:
        while len(self._samples) < 2:
            self._samples.append(pynvml.nvmlGpmSampleAlloc())
        sample = self._samples[1]
        if self._gpu_instance is None:
            pynvml.nvmlGpmSampleGet(self._handle, sample)
        else:
            pynvml.nvmlGpmMigSampleGet(self._handle, self._gpu_instance, sample)
        self._samples.reverse()

    def _compare(self) -> GpmActivity:
        question = self._question
        question.sample2, question.sample1 = self._samples  # the newest is first
        code = function("nvmlGpmMetricsGet")(ctypes.byref(question))
        if code != codes.SUCCESS:
            raise pynvml.NVMLError(code)
        return GpmActivity(*[_ppm(metric.nvmlReturn, metric.value) for metric in question.metrics])


def _ppm(code: int, percent: float) -> int | None:
    """Return parts per million, or None for what is not a figure (NaN is not between the two)."""
    if code != codes.SUCCESS or not 0.0 <= percent <= _BELIEVABLE_PERCENT:
        return None
    return min(PPM, round(percent * PPM / 100))

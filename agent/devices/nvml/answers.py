"""A board as samplers ask it: by field and by function, what is not supported being remembered."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.nvml.fields import FieldReader
from agent.devices.nvml.library import function
from gpuledger.errors import DeviceError

_UNKNOWN_NOW: Final = frozenset({*codes.ABSENT, codes.INVALID_ARGUMENT})


class NvmlAnswers:
    """The `BoardAnswers` of a GPU, for the fields that are named in its construction."""

    def __init__(self, handle: Any, fields: Iterable[int]) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._wanted = tuple(fields)
        self._reader = FieldReader(handle, self._wanted)
        self._values: dict[int, int] = {}
        self._failed: dict[int, int] = {}
        self._whole_failure = codes.SUCCESS
        self._absent: set[tuple[str, tuple[int, ...]]] = set()
        self._out = ctypes.c_ulonglong()
        self._out_address = ctypes.byref(self._out)
        self._spare_address = ctypes.byref(ctypes.c_ulonglong())

    def forget_absent(self) -> None:
        """Ask for everything again: what a board supports depends on whether it is cut."""
        self._absent.clear()
        self._reader = FieldReader(self._handle, self._wanted)

    def read_fields(self) -> None:
        """Read all fields; each keeps its value or its failure until the next time.

        Raises NVMLError where the driver itself is gone.
        """
        self._values, self._failed, self._whole_failure = {}, {}, codes.SUCCESS
        try:
            self._values, self._failed = self._reader.read()
        except pynvml.NVMLError as error:
            if error.value in codes.DRIVER_GONE:
                raise
            if error.value not in codes.ABSENT:
                self._whole_failure = error.value

    def field(self, field: int) -> int | None:
        """Return a field's value as it was read last. Raises DeviceError where that failed."""
        code = self._failed.get(field, self._whole_failure)
        if code != codes.SUCCESS:
            raise _failed(f"field {field}", code)
        return self._values.get(field)

    def number(self, name: str, *arguments: int, spare: int = 0) -> int | None:
        """Return the first number that a function answers; all of them are integers of 32 or 64 bits.

        Raises DeviceError where it fails, and NVMLError where the driver itself is gone.
        """
        if (name, arguments) in self._absent:
            return None
        self._out.value = 0
        try:
            code = function(name)(self._handle, *arguments, self._out_address, *(self._spare_address,) * spare)
        except pynvml.NVMLError as error:
            code = error.value
        if code == codes.SUCCESS:
            return self._out.value
        if code in _UNKNOWN_NOW:
            self._absent.add((name, arguments))
            return None
        if code in codes.DRIVER_GONE:
            raise pynvml.NVMLError(code)
        raise _failed(name, code)


def _failed(what: str, code: int) -> DeviceError:
    return DeviceError(f"{what}: {pynvml.NVMLError(code)} (NVML error {code})", hint="run `nvidia-smi -q` on this node")

"""Field values: many figures of a board in one call, each with a return code and a type of its own."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from typing import Any, Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.nvml.library import function

_ENTRY: Final = struct.Struct("@IIqqii8s")  # fieldId, scopeId, timestamp, latency, valueType, nvmlReturn, value
_FORMAT_OF_TYPE: Final = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: struct.Struct("@d"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: struct.Struct("@I"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: struct.Struct("@L"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: struct.Struct("@Q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: struct.Struct("@q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: struct.Struct("@i"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: struct.Struct("@H"),
}


class FieldReader:
    """Reads a set of fields of one board with a buffer that stays; what has no answer here is not asked again."""

    def __init__(self, handle: Any, fields: Iterable[int]) -> None:  # noqa: ANN401 - a handle of NVML
        self._handle = handle
        self._ask_for(tuple(dict.fromkeys(fields)))

    def __bool__(self) -> bool:
        """Whether anything is left to ask for."""
        return bool(self._fields)

    def read(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return the values of the fields that have one, and the return codes of those that failed.

        Raises NVMLError where the call as a whole fails.
        """
        if not self._fields:
            return {}, {}
        code = function("nvmlDeviceGetFieldValues")(self._handle, len(self._fields), self._buffer)
        if code != codes.SUCCESS:
            if code in codes.ABSENT:
                self._ask_for(())
            raise pynvml.NVMLError(code)
        values: dict[int, int] = {}
        failed: dict[int, int] = {}
        absent = set()
        for field, _, _, _, kind, returned, value in _ENTRY.iter_unpack(self._buffer):
            if returned == codes.SUCCESS:
                values[field] = int(_FORMAT_OF_TYPE[kind].unpack_from(value)[0])
            elif returned in codes.ABSENT or returned == codes.INVALID_ARGUMENT:  # a driver that knows no such field
                absent.add(field)
            elif returned != codes.NOT_FOUND:
                failed[field] = returned
        if absent:
            self._ask_for(tuple(field for field in self._fields if field not in absent))
        return values, failed

    def _ask_for(self, fields: tuple[int, ...]) -> None:
        self._fields = fields
        self._buffer: ctypes.Array[Any] = (pynvml.c_nvmlFieldValue_t * len(fields))()
        for entry, field in zip(self._buffer, fields, strict=True):
            entry.fieldId = field

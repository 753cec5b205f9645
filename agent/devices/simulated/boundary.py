"""NVML's C boundary: the functions of the driver library with their C signatures, made from Python methods."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, Final

_POINTER: Final = ctypes.c_void_p  # handles, and addresses to write answers to
_UINT: Final = ctypes.c_uint
_ULONGLONG: Final = ctypes.c_ulonglong

# Name in the library: the arguments after the return code. PYFUNCTYPE has the same C signature as CFUNCTYPE and keeps
# the interpreter lock, which the Python on the other side needs anyway.
SIGNATURES: Final[Mapping[str, tuple[Any, ...]]] = {
    "nvmlInitWithFlags": (_UINT,),
    "nvmlShutdown": (),
    "nvmlSystemGetDriverVersion": (_POINTER, _UINT),
    "nvmlSystemGetNVMLVersion": (_POINTER, _UINT),
    "nvmlSystemGetProcessName": (_UINT, _POINTER, _UINT),
    "nvmlDeviceGetCount_v2": (_POINTER,),
    "nvmlDeviceGetHandleByIndex_v2": (_UINT, _POINTER),
    "nvmlDeviceGetHandleByUUID": (ctypes.c_char_p, _POINTER),
    "nvmlDeviceGetName": (_POINTER, _POINTER, _UINT),
    "nvmlDeviceGetArchitecture": (_POINTER, _POINTER),
    "nvmlDeviceGetUUID": (_POINTER, _POINTER, _UINT),
    "nvmlDeviceGetSerial": (_POINTER, _POINTER, _UINT),
    "nvmlDeviceGetIndex": (_POINTER, _POINTER),
    "nvmlDeviceGetMinorNumber": (_POINTER, _POINTER),
    "nvmlDeviceGetPciInfo_v3": (_POINTER, _POINTER),
    "nvmlDeviceGetMemoryInfo": (_POINTER, _POINTER),
    "nvmlDeviceGetMemoryInfo_v2": (_POINTER, _POINTER),
    "nvmlDeviceGetUtilizationRates": (_POINTER, _POINTER),
    "nvmlDeviceGetPowerUsage": (_POINTER, _POINTER),
    "nvmlDeviceGetPowerManagementLimit": (_POINTER, _POINTER),
    "nvmlDeviceGetPowerManagementLimitConstraints": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetTotalEnergyConsumption": (_POINTER, _POINTER),
    "nvmlDeviceGetFieldValues": (_POINTER, ctypes.c_int, _POINTER),
    "nvmlDeviceGetTemperature": (_POINTER, _UINT, _POINTER),
    "nvmlDeviceGetTemperatureV": (_POINTER, _POINTER),
    "nvmlDeviceGetComputeRunningProcesses_v3": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetProcessUtilization": (_POINTER, _POINTER, _POINTER, _ULONGLONG),
    "nvmlDeviceGetProcessesUtilizationInfo": (_POINTER, _POINTER),
    "nvmlDeviceGetCurrentClocksEventReasons": (_POINTER, _POINTER),
    "nvmlDeviceGetCurrentClocksThrottleReasons": (_POINTER, _POINTER),
    "nvmlDeviceGetClockInfo": (_POINTER, _UINT, _POINTER),
    "nvmlDeviceGetEncoderUtilization": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetDecoderUtilization": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetFanSpeed": (_POINTER, _POINTER),
    "nvmlDeviceGetAccountingMode": (_POINTER, _POINTER),
    "nvmlDeviceGetAccountingBufferSize": (_POINTER, _POINTER),
    "nvmlDeviceGetAccountingPids": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetAccountingStats": (_POINTER, _UINT, _POINTER),
    "nvmlGpmQueryDeviceSupport": (_POINTER, _POINTER),
    "nvmlGpmSampleAlloc": (_POINTER,),
    "nvmlGpmSampleFree": (_POINTER,),
    "nvmlGpmSampleGet": (_POINTER, _POINTER),
    "nvmlGpmMigSampleGet": (_POINTER, _UINT, _POINTER),
    "nvmlGpmMetricsGet": (_POINTER,),
    "nvmlDeviceGetGpuInstanceById": (_POINTER, _UINT, _POINTER),
    "nvmlGpuInstanceGetInfo": (_POINTER, _POINTER),
    "nvmlDeviceGetMigMode": (_POINTER, _POINTER, _POINTER),
    "nvmlDeviceGetGpuInstanceProfileInfoV": (_POINTER, _UINT, _POINTER),
    "nvmlDeviceGetMaxMigDeviceCount": (_POINTER, _POINTER),
    "nvmlDeviceGetMigDeviceHandleByIndex": (_POINTER, _UINT, _POINTER),
    "nvmlDeviceGetGpuInstanceId": (_POINTER, _POINTER),
    "nvmlDeviceGetComputeInstanceId": (_POINTER, _POINTER),
    "nvmlDeviceGetAttributes_v2": (_POINTER, _POINTER),
    "nvmlDeviceGetSupportedEventTypes": (_POINTER, _POINTER),
    "nvmlDeviceRegisterEvents": (_POINTER, _ULONGLONG, _POINTER),
    "nvmlEventSetCreate": (_POINTER,),
    "nvmlEventSetFree": (_POINTER,),
    "nvmlEventSetWait_v2": (_POINTER, _POINTER, _UINT),
}


class DriverLibrary:
    """What `pynvml` holds as its library: looking up a function that it does not have raises AttributeError."""

    def __init__(self, functions: Mapping[str, Callable[..., int]]) -> None:
        for name, function in functions.items():
            self.replace(name, function)

    def replace(self, name: str, function: Callable[..., int] | None) -> None:
        """Put another function at `name`, or none: then the library has no such symbol."""
        if function is not None:
            setattr(self, name, c_function(name, function))
        elif hasattr(self, name):
            delattr(self, name)


def c_function(name: str, function: Callable[..., int]) -> Any:  # noqa: ANN401 - a C function
    """Return `function` behind the C signature of the library's `name`."""
    return ctypes.PYFUNCTYPE(ctypes.c_int, *SIGNATURES[name])(function)


def write_uint(address: int, value: int) -> None:
    """Write an `unsigned int` where the caller wants it."""
    ctypes.c_uint.from_address(address).value = value


def write_text(address: int, size: int, text: str) -> bool:
    """Write a NUL-terminated string into a buffer of `size` bytes; False where it does not fit."""
    data = text.encode() + b"\0"
    if len(data) > size:
        return False
    ctypes.memmove(address, data, len(data))
    return True

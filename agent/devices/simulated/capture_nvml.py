"""Records a capture from the driver of this machine: `python -m agent.devices.simulated.capture_nvml > new.toml`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.nvml.answers import NvmlAnswers
from agent.devices.nvml.gpm import supports_gpm
from agent.devices.nvml.mig import parse_profile_of_name, profile_name
from agent.devices.simulated.captures import MIB
from agent.samplers.table import SLOW

_ARCHITECTURES: Final = {
    getattr(pynvml, name): name.removeprefix("NVML_DEVICE_ARCH_").title()
    for name in dir(pynvml)
    if name.startswith("NVML_DEVICE_ARCH_")
}
_LONGER_NAMES: Final = {"Ada": "Ada Lovelace"}  # as nvidia-smi says it
_FIELDS: Final = (pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, pynvml.NVML_FI_DEV_POWER_AVERAGE)
_CALLS: Final[dict[str, Callable[[Any], Any]]] = {
    "nvmlDeviceGetTotalEnergyConsumption": pynvml.nvmlDeviceGetTotalEnergyConsumption,
    "nvmlDeviceGetPowerUsage": pynvml.nvmlDeviceGetPowerUsage,
    "nvmlDeviceGetTemperatureV": lambda handle: pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    "nvmlDeviceGetProcessUtilization": lambda handle: pynvml.nvmlDeviceGetProcessUtilization(handle, 0),
}


def record_capture(handle: Any) -> str:  # noqa: ANN401 - a handle of NVML
    """Return a capture of the board behind `handle` as TOML. NVML must be open. Raises NVMLError.

    Idle power is what the board draws now: record with no process on it, or correct the figure by hand.
    """
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)
    least, most = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    answers = {name: _answer(call, handle) for name, call in _CALLS.items()}
    idle = not pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
    facts = {
        "name": pynvml.nvmlDeviceGetName(handle),
        "architecture": _architecture(handle),
        "driver_version": pynvml.nvmlSystemGetDriverVersion(),
        "memory_total_mib": memory.total // MIB,
        "memory_reserved_mib": memory.reserved // MIB,
        "power_limit_w": most / 1_000,
        "power_min_w": least / 1_000,
        "idle_power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1_000,
        "idle_power_origin": "recorded" if idle else "estimate",
        "unsupported_fields": _unsupported_fields(handle),
        "unsupported_calls": [name for name, code in answers.items() if code == codes.NOT_SUPPORTED],
        "missing_symbols": [name for name, code in answers.items() if code == codes.FUNCTION_NOT_FOUND],
        **_condition(handle),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in facts.items() if value is not None and value != []]
    return "\n".join([*lines, *_field_lines(handle), *_mig_lines(handle, memory.total)]) + "\n"


def _condition(handle: Any) -> dict[str, int | bool | None]:  # noqa: ANN401 - a handle of NVML
    board = NvmlAnswers(handle, ())
    return {
        "sm_clock_mhz": board.number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),
        "memory_clock_mhz": board.number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM),
        "fan_percent": board.number("nvmlDeviceGetFanSpeed"),
        "gpm": supports_gpm(handle),
    }


def _field_lines(handle: Any) -> list[str]:  # noqa: ANN401 - a handle of NVML
    """Return the table of the fields that samplers read, as far as the board knows them."""
    fields = sorted({field for sampler in SLOW for field in sampler.fields})
    board = NvmlAnswers(handle, fields)
    board.read_fields()
    known = {field: board.field(field) for field in fields}
    return ["", "[fields]", *(f"{field} = {value}" for field, value in known.items() if value is not None)]


def _answer(call: Callable[[Any], Any], handle: Any) -> int:  # noqa: ANN401 - a handle of NVML
    try:
        call(handle)
    except pynvml.NVMLError as error:
        return int(error.value)
    return codes.SUCCESS


def _architecture(handle: Any) -> str:  # noqa: ANN401 - a handle of NVML
    try:
        word = _ARCHITECTURES.get(pynvml.nvmlDeviceGetArchitecture(handle), "Unknown")
    except pynvml.NVMLError:
        return "Unknown"
    return _LONGER_NAMES.get(word, word)


def _unsupported_fields(handle: Any) -> list[int]:  # noqa: ANN401 - a handle of NVML
    entries = pynvml.nvmlDeviceGetFieldValues(handle, [(field, 0) for field in _FIELDS])
    return [entry.fieldId for entry in entries if entry.nvmlReturn != codes.SUCCESS]


def _mig_lines(handle: Any, board_bytes: int) -> list[str]:  # noqa: ANN401 - a handle of NVML
    try:
        pynvml.nvmlDeviceGetMigMode(handle)
        slices = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return []
    return ["", "[mig]", f"slices = {slices}", "profiles = [", *_profile_lines(handle, board_bytes, slices), "]"]


def _profile_lines(handle: Any, board_bytes: int, slices: int) -> list[str]:  # noqa: ANN401 - a handle of NVML
    lines = []
    for number in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            facts = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, number)
        except pynvml.NVMLError:
            continue  # this board cannot be cut so
        media = facts.ofaCount > 0 and facts.sliceCount < slices
        spelled = profile_name(facts.sliceCount, facts.sliceCount, facts.memorySizeMB * MIB, board_bytes, media=media)
        name = parse_profile_of_name(facts.name) or spelled
        lines.append(
            f'  {{ name = "{name}", slices = {facts.sliceCount}, memory_mib = {facts.memorySizeMB}, '
            f"multiprocessors = {facts.multiprocessorCount}, ofa = {facts.ofaCount} }},"
        )
    return lines


def main() -> int:
    """Write a capture of the first GPU to standard output."""
    try:
        pynvml.nvmlInit()
        capture = record_capture(pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError as error:
        sys.stderr.write(f"{codes.driver_error('recording a capture', error.value, str(error))}\n")
        return 1
    sys.stdout.write(capture)
    pynvml.nvmlShutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

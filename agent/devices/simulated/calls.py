"""What each NVML function of the simulated driver answers, written into the caller's memory."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.simulated.board import SimulatedBoard
from agent.devices.simulated.boundary import write_text, write_uint
from agent.devices.simulated.world import ProcessState, SliceSpec

_PPM_PER_PERCENT: Final = 10_000
_MIB: Final = 1 << 20
_MEMORY: Final = struct.Struct("@QQQ")  # total, free, used
_MEMORY_V2: Final = struct.Struct("@IxxxxQQQQ")  # version, total, reserved, free, used
_PROCESS: Final = struct.Struct("@IxxxxQII")  # pid, usedGpuMemory, gpuInstanceId, computeInstanceId
_SAMPLE: Final = struct.Struct("@IxxxxQIIII")  # pid, timeStamp, smUtil, memUtil, encUtil, decUtil
_TEMPERATURE: Final = struct.Struct("@IIi")  # version, sensor, temperature
_FIELD: Final = struct.Struct("@IIqqii")  # fieldId, scopeId, timestamp, latency, valueType, nvmlReturn; then the value
_FIELD_SIZE: Final = ctypes.sizeof(pynvml.c_nvmlFieldValue_t)
_FIELD_ANSWER: Final = struct.Struct("@iiQ")  # valueType, nvmlReturn, value
_FIELD_ANSWER_AT: Final = pynvml.c_nvmlFieldValue_t.valueType.offset
_WHOLE_BOARD: Final = 0xFFFFFFFF  # instance ids of what is not on an instance
_EVENTS: Final = (
    pynvml.nvmlEventTypeXidCriticalError
    | pynvml.nvmlEventMigConfigChange
    | pynvml.nvmlEventTypeDoubleBitEccError
    | pynvml.nvmlEventTypeGpuRecoveryAction
)
_INFO_HEAD: Final = struct.Struct("@IIQP")  # version, processSamplesCount, lastSeenTimeStamp, procUtilArray
_INFO: Final = struct.Struct("@QIIIIIII")  # timeStamp, pid, smUtil, memUtil, encUtil, decUtil, jpgUtil, ofaUtil
_INFO_SIZE: Final = ctypes.sizeof(pynvml.c_nvmlProcessUtilizationInfo_v1_t)
_NOT_UNDER_MIG: Final = frozenset(range(142, 146))  # remapped rows
_ENERGY_FIELD: Final = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
_POWER_FIELDS: Final = frozenset({pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_FI_DEV_POWER_INSTANT})


def name(board: SimulatedBoard, part: SliceSpec | None, out: int, size: int) -> int:
    """Answer nvmlDeviceGetName."""
    text = board.capture.name if part is None else f"{board.capture.name} MIG {part.profile}"
    return codes.SUCCESS if write_text(out, size, text) else codes.INSUFFICIENT_SIZE


def architecture(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetArchitecture."""
    if part is not None:
        return codes.INVALID_ARGUMENT
    word = board.capture.architecture.split()[0].upper()
    write_uint(out, getattr(pynvml, f"NVML_DEVICE_ARCH_{word}", pynvml.NVML_DEVICE_ARCH_UNKNOWN))
    return codes.SUCCESS


def uuid(board: SimulatedBoard, part: SliceSpec | None, out: int, size: int) -> int:
    """Answer nvmlDeviceGetUUID."""
    text = board.spec.uuid if part is None else part.uuid
    return codes.SUCCESS if write_text(out, size, text) else codes.INSUFFICIENT_SIZE


def serial(board: SimulatedBoard, part: SliceSpec | None, out: int, size: int) -> int:
    """Answer nvmlDeviceGetSerial."""
    if part is not None or not board.spec.serial:
        return codes.NOT_SUPPORTED
    return codes.SUCCESS if write_text(out, size, board.spec.serial) else codes.INSUFFICIENT_SIZE


def index(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetIndex."""
    write_uint(out, board.spec.index if part is None else part.index)
    return codes.SUCCESS


def minor_number(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetMinorNumber."""
    if part is not None:
        return codes.NOT_SUPPORTED
    write_uint(out, board.spec.minor)
    return codes.SUCCESS


def pci_info(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetPciInfo_v3."""
    if part is not None:
        return codes.INVALID_ARGUMENT
    info = pynvml.nvmlPciInfo_t.from_address(out)
    info.busId = board.spec.pci_bus_id.encode()
    info.busIdLegacy = board.spec.pci_bus_id.encode()[4:]
    return codes.SUCCESS


def memory(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetMemoryInfo: what the driver reserves counts as used."""
    total, reserved, used = _memory_of(board, part)
    ctypes.memmove(out, _MEMORY.pack(total, total - reserved - used, used + reserved), _MEMORY.size)
    return codes.SUCCESS


def memory_v2(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetMemoryInfo_v2: a caller states the struct's version in its first word."""
    if ctypes.c_uint.from_address(out).value != pynvml.nvmlMemory_v2:
        return codes.ARGUMENT_VERSION_MISMATCH
    total, reserved, used = _memory_of(board, part)
    packed = _MEMORY_V2.pack(pynvml.nvmlMemory_v2, total, reserved, total - reserved - used, used)
    ctypes.memmove(out, packed, _MEMORY_V2.size)
    return codes.SUCCESS


def _memory_of(board: SimulatedBoard, part: SliceSpec | None) -> tuple[int, int, int]:
    if part is None:
        return board.capture.memory_total_bytes, board.capture.memory_reserved_bytes, board.state.memory_used_bytes
    used = sum(process.memory_bytes for process in _processes_of(board, part))
    return part.memory_bytes, 0, used


def utilization(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetUtilizationRates: not supported once the board is cut into instances."""
    if part is not None or board.mig:
        return codes.NOT_SUPPORTED
    write_uint(out, _percent(board.state.utilization_ppm))
    write_uint(out + 4, 0)
    return codes.SUCCESS


def power_usage(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetPowerUsage: of the board, in milliwatts."""
    if part is not None:
        return codes.NOT_SUPPORTED
    write_uint(out, board.state.power_mw)
    return codes.SUCCESS


def power_limit(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetPowerManagementLimit."""
    if part is not None:
        return codes.NOT_SUPPORTED
    write_uint(out, board.capture.power_limit_mw)
    return codes.SUCCESS


def power_limits(board: SimulatedBoard, part: SliceSpec | None, least: int, most: int) -> int:
    """Answer nvmlDeviceGetPowerManagementLimitConstraints."""
    if part is not None:
        return codes.NOT_SUPPORTED
    write_uint(least, round(board.capture.power_min_w * 1_000))
    write_uint(most, board.capture.power_limit_mw)
    return codes.SUCCESS


def total_energy(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetTotalEnergyConsumption: of the board, in millijoules since the driver was loaded."""
    if part is not None:
        return codes.NOT_SUPPORTED
    ctypes.c_ulonglong.from_address(out).value = board.state.energy_mj
    return codes.SUCCESS


def field_values(board: SimulatedBoard, part: SliceSpec | None, count: int, values: int) -> int:
    """Answer nvmlDeviceGetFieldValues: each entry has its own return code and value type."""
    state = board.state
    for address in range(values, values + count * _FIELD_SIZE, _FIELD_SIZE):
        field = ctypes.c_uint32.from_address(address).value
        if part is not None or field in board.capture.unsupported_fields:
            answer = (0, codes.NOT_SUPPORTED, 0)
        elif field == _ENERGY_FIELD:
            answer = (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, codes.SUCCESS, state.energy_mj)
        elif field in _POWER_FIELDS:
            answer = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, codes.SUCCESS, state.power_mw)
        else:
            answer = _condition(board, field)
        ctypes.memmove(address + _FIELD_ANSWER_AT, _FIELD_ANSWER.pack(*answer), _FIELD_ANSWER.size)
    return codes.SUCCESS


def _condition(board: SimulatedBoard, field: int) -> tuple[int, int, int]:
    value = board.state.condition.fields.get(field)
    if value is None:
        value = board.capture.condition_fields.get(field)
    if value is None or (board.mig and field in _NOT_UNDER_MIG):
        return (0, codes.NOT_SUPPORTED, 0)
    return (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, codes.SUCCESS, value)


def temperature(board: SimulatedBoard, part: SliceSpec | None, sensor: int, out: int) -> int:
    """Answer nvmlDeviceGetTemperature."""
    if part is not None or sensor != pynvml.NVML_TEMPERATURE_GPU:
        return codes.INVALID_ARGUMENT
    write_uint(out, board.state.temperature_c)
    return codes.SUCCESS


def temperature_v(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetTemperatureV: a versioned struct."""
    version, sensor, _ = _TEMPERATURE.unpack(ctypes.string_at(out, _TEMPERATURE.size))
    if version != pynvml.nvmlTemperature_v1:
        return codes.ARGUMENT_VERSION_MISMATCH
    if part is not None or sensor != pynvml.NVML_TEMPERATURE_GPU:
        return codes.INVALID_ARGUMENT
    ctypes.c_int.from_address(out + 8).value = board.state.temperature_c
    return codes.SUCCESS


def compute_processes(board: SimulatedBoard, part: SliceSpec | None, count: int, infos: int | None) -> int:
    """Answer nvmlDeviceGetComputeRunningProcesses_v3: of a board, all; of an instance, its own."""
    return _write_processes(board, part, count, infos, mps=False)


def mps_processes(board: SimulatedBoard, part: SliceSpec | None, count: int, infos: int | None) -> int:
    """Answer nvmlDeviceGetMPSComputeRunningProcesses_v3: the clients of MPS."""
    return _write_processes(board, part, count, infos, mps=True)


def _write_processes(board: SimulatedBoard, part: SliceSpec | None, count: int, infos: int | None, *, mps: bool) -> int:
    processes = board.state.processes if part is None else _processes_of(board, part)
    packed = [_pack_process(board, process) for process in processes if (process.kind == "mps_client") is mps]
    return _write_list(count, infos, packed, _PROCESS.size)


def graphics_processes(board: SimulatedBoard, part: SliceSpec | None, count: int, infos: int | None) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlDeviceGetGraphicsRunningProcesses_v3: nobody draws on these boards."""
    write_uint(count, 0)
    return codes.SUCCESS


def process_utilization(
    board: SimulatedBoard, part: SliceSpec | None, samples: int | None, count: int, last_seen_us: int
) -> int:
    """Answer nvmlDeviceGetProcessUtilization: buffered samples newer than `last_seen_us`, of processes that worked."""
    if part is not None or board.mig:
        return codes.NOT_SUPPORTED
    found = board.utilisation_since(last_seen_us)
    if not found:
        return codes.NOT_FOUND
    packed = [_SAMPLE.pack(process.pid, at_us, _percent(process.sm_ppm), 0, 0, 0) for at_us, process in found]
    return _write_list(count, samples, packed, _SAMPLE.size)


def processes_utilization_info(board: SimulatedBoard, part: SliceSpec | None, head: int) -> int:
    """Answer nvmlDeviceGetProcessesUtilizationInfo: the same samples in another layout."""
    if part is not None or board.mig:
        return codes.NOT_SUPPORTED
    version, room, last_seen_us, out = _INFO_HEAD.unpack(ctypes.string_at(head, _INFO_HEAD.size))
    if version != pynvml.ProcessesUtilizationInfo_v1:
        return codes.ARGUMENT_VERSION_MISMATCH
    found = board.utilisation_since(last_seen_us)
    if not found:
        return codes.NOT_FOUND
    write_uint(head + 4, len(found))
    if not out or room < len(found):
        return codes.INSUFFICIENT_SIZE
    for position, (at_us, process) in enumerate(found):
        packed = _INFO.pack(at_us, process.pid, _percent(process.sm_ppm), 0, 0, 0, 0, 0)
        ctypes.memmove(out + position * _INFO_SIZE, packed, _INFO.size)
    return codes.SUCCESS


def mig_mode(board: SimulatedBoard, part: SliceSpec | None, current: int, pending: int) -> int:
    """Answer nvmlDeviceGetMigMode."""
    if part is not None or board.capture.mig is None:
        return codes.NOT_SUPPORTED
    write_uint(current, int(board.mig))
    write_uint(pending, int(board.mig))
    return codes.SUCCESS


def max_mig_count(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetMaxMigDeviceCount."""
    if part is not None:
        return codes.INVALID_ARGUMENT
    write_uint(out, board.capture.mig.slices if board.capture.mig else 0)
    return codes.SUCCESS


def mig_handle(board: SimulatedBoard, part: SliceSpec | None, number: int, out: int) -> int:
    """Answer nvmlDeviceGetMigDeviceHandleByIndex: indices without an instance are holes."""
    if part is not None or board.capture.mig is None or number >= board.capture.mig.slices:
        return codes.INVALID_ARGUMENT
    handle = board.handle + 1 + number
    if handle not in board.slices:
        return codes.NOT_FOUND
    ctypes.c_void_p.from_address(out).value = handle
    return codes.SUCCESS


def profile_info(board: SimulatedBoard, part: SliceSpec | None, number: int, out: int) -> int:
    """Answer nvmlDeviceGetGpuInstanceProfileInfoV: the board's profiles are numbered as its capture lists them."""
    if part is not None or board.capture.mig is None:
        return codes.NOT_SUPPORTED
    if number >= len(board.capture.mig.profiles):
        return codes.INVALID_ARGUMENT
    facts, answer = board.capture.mig.profiles[number], pynvml.c_nvmlGpuInstanceProfileInfo_v2_t.from_address(out)
    answer.id, answer.name = number, f"MIG {facts.name}".encode()
    answer.sliceCount, answer.memorySizeMB = facts.slices, facts.memory_mib
    answer.multiprocessorCount, answer.ofaCount = facts.multiprocessors, facts.ofa
    return codes.SUCCESS


def gpu_instance_id(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlDeviceGetGpuInstanceId."""
    if part is None:
        return codes.INVALID_ARGUMENT
    write_uint(out, part.gpu_instance)
    return codes.SUCCESS


def compute_instance_id(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlDeviceGetComputeInstanceId."""
    if part is None:
        return codes.INVALID_ARGUMENT
    write_uint(out, part.compute_instance)
    return codes.SUCCESS


def attributes(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetAttributes_v2: of an instance."""
    if part is None:
        return codes.INVALID_ARGUMENT
    answer = pynvml.c_nvmlDeviceAttributes.from_address(out)
    facts = board.capture.profile(part.profile)
    answer.multiprocessorCount = facts.multiprocessors
    answer.sharedOfaCount = facts.ofa
    answer.gpuInstanceSliceCount = facts.slices
    answer.computeInstanceSliceCount = part.slices
    answer.memorySizeMB = part.memory_bytes // _MIB
    return codes.SUCCESS


def gpu_instance_handle(board: SimulatedBoard, part: SliceSpec | None, number: int, out: int) -> int:
    """Answer nvmlDeviceGetGpuInstanceById."""
    if part is not None:
        return codes.INVALID_ARGUMENT
    for handle, piece in board.slices.items():
        if piece.gpu_instance == number:
            ctypes.c_void_p.from_address(out).value = handle
            return codes.SUCCESS
    return codes.NOT_FOUND


def gpu_instance_info(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlGpuInstanceGetInfo; here the handle of a GPU instance is that of the MIG device on it."""
    if part is None:
        return codes.INVALID_ARGUMENT
    answer = pynvml.c_nvmlGpuInstanceInfo_t.from_address(out)
    answer.id = part.gpu_instance
    answer.placement.start, answer.placement.size = part.placement_start, board.capture.profile(part.profile).slices
    return codes.SUCCESS


def supported_events(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlDeviceGetSupportedEventTypes."""
    ctypes.c_ulonglong.from_address(out).value = _EVENTS if part is None else 0
    return codes.SUCCESS


def _processes_of(board: SimulatedBoard, part: SliceSpec) -> Sequence[ProcessState]:
    return [process for process in board.state.processes if process.gpu_instance == part.gpu_instance]


def _pack_process(board: SimulatedBoard, process: ProcessState) -> bytes:
    instance = _WHOLE_BOARD if process.gpu_instance is None or not board.mig else process.gpu_instance
    return _PROCESS.pack(process.pid, process.memory_bytes, instance, _WHOLE_BOARD if instance == _WHOLE_BOARD else 0)


def _write_list(count: int, out: int | None, packed: Sequence[bytes], size: int) -> int:
    """Answer a list as NVML does: a caller learns its length by asking with too little room."""
    room = ctypes.c_uint.from_address(count).value
    write_uint(count, len(packed))
    if out is None or room < len(packed):
        return codes.INSUFFICIENT_SIZE if packed else codes.SUCCESS
    ctypes.memmove(out, b"".join(packed), len(packed) * size)
    return codes.SUCCESS


def _percent(ppm: int) -> int:
    return (ppm + _PPM_PER_PERCENT // 2) // _PPM_PER_PERCENT

"""What the simulated driver answers about a board's condition: throttling, clocks, video engines, fan, accounting."""

from __future__ import annotations

import ctypes
import struct
from typing import Final

import pynvml

from agent.devices.nvml import codes
from agent.devices.simulated.board import SimulatedBoard
from agent.devices.simulated.boundary import write_uint
from agent.devices.simulated.world import EndedState, SliceSpec

_STATS: Final = struct.Struct("@IIQQQI")  # utilization of GPU and memory, maxMemoryUsage, time, startTime, isRunning
_US_PER_MS: Final = 1_000
_SAMPLE_PERIOD_US: Final = 166_666
_BUFFER_SIZE: Final = 4_000


def throttle_reasons(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetCurrentClocksEventReasons."""
    if part is not None:
        return codes.NOT_SUPPORTED
    ctypes.c_ulonglong.from_address(out).value = board.state.condition.throttle_reasons
    return codes.SUCCESS


def clock_info(board: SimulatedBoard, part: SliceSpec | None, kind: int, out: int) -> int:
    """Answer nvmlDeviceGetClockInfo."""
    sm_clock_mhz = board.capture.sm_clock_mhz
    if sm_clock_mhz is not None:
        sm_clock_mhz = sm_clock_mhz * board.state.clock_percent // 100
    known = {pynvml.NVML_CLOCK_SM: sm_clock_mhz, pynvml.NVML_CLOCK_MEM: board.capture.memory_clock_mhz}
    clock_mhz = known.get(kind)
    if part is not None or clock_mhz is None:
        return codes.NOT_SUPPORTED
    write_uint(out, clock_mhz)
    return codes.SUCCESS


def video_utilization(board: SimulatedBoard, part: SliceSpec | None, out: int, period: int) -> int:
    """Answer nvmlDeviceGetEncoderUtilization and nvmlDeviceGetDecoderUtilization: nobody uses these engines."""
    if part is not None or board.mig:
        return codes.NOT_SUPPORTED
    write_uint(out, 0)
    write_uint(period, _SAMPLE_PERIOD_US)
    return codes.SUCCESS


def fan_speed(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetFanSpeed."""
    if part is not None or board.capture.fan_percent is None:
        return codes.NOT_SUPPORTED
    write_uint(out, board.capture.fan_percent)
    return codes.SUCCESS


def accounting_mode(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:
    """Answer nvmlDeviceGetAccountingMode: MIG forces it off."""
    if part is not None:
        return codes.NOT_SUPPORTED
    write_uint(out, int(_accounts(board)))
    return codes.SUCCESS


def accounting_buffer_size(board: SimulatedBoard, part: SliceSpec | None, out: int) -> int:  # noqa: ARG001 - the C signature
    """Answer nvmlDeviceGetAccountingBufferSize."""
    write_uint(out, _BUFFER_SIZE)
    return codes.SUCCESS


def accounting_pids(board: SimulatedBoard, part: SliceSpec | None, count: int, out: int | None) -> int:
    """Answer nvmlDeviceGetAccountingPids: the running and the ended, each pid once."""
    if part is not None or not _accounts(board):
        return codes.NOT_SUPPORTED
    pids = list(dict.fromkeys([*board.accounted, *(process.pid for process in board.state.processes)]))
    room = ctypes.c_uint.from_address(count).value
    write_uint(count, len(pids))
    if out is None or room < len(pids):
        return codes.INSUFFICIENT_SIZE if pids else codes.SUCCESS
    packed = struct.pack(f"@{len(pids)}I", *pids)
    ctypes.memmove(out, packed, len(packed))
    return codes.SUCCESS


def accounting_stats(board: SimulatedBoard, part: SliceSpec | None, pid: int, out: int) -> int:
    """Answer nvmlDeviceGetAccountingStats; a process that runs has no time yet."""
    if part is not None or not _accounts(board):
        return codes.NOT_SUPPORTED
    running = {process.pid: process for process in board.state.processes}.get(pid)
    ended = board.accounted.get(pid)
    if running is not None:
        packed = _STATS.pack(0, 0, running.memory_bytes, 0, 0, 1)
    elif ended is not None:
        packed = _pack_ended(ended)
    else:
        return codes.NOT_FOUND
    ctypes.memmove(out, packed, _STATS.size)
    return codes.SUCCESS


def _pack_ended(ended: EndedState) -> bytes:
    time_ms = (ended.end_us - ended.start_us) // _US_PER_MS
    return _STATS.pack(ended.percent, 0, ended.memory_bytes, time_ms, ended.start_us, 0)


def _accounts(board: SimulatedBoard) -> bool:
    return board.spec.accounting and not board.mig

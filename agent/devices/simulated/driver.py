"""A fake NVIDIA driver that stands at NVML's C boundary and shows a world at the time of a clock.

The whole of `pynvml` runs on it: it is a library handle whose functions have NVML's C signatures.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pynvml

from agent.devices.base import DeviceSource, NodeReading
from agent.devices.nvml import NvmlSource, codes
from agent.devices.simulated import calls, calls_condition
from agent.devices.simulated.board import Reported, SimulatedBoard
from agent.devices.simulated.boundary import DriverLibrary, write_text, write_uint
from agent.devices.simulated.counters import PerformanceCounters
from agent.devices.simulated.world import SliceSpec, World
from agent.samplers.board import DEFAULT_SLOW_EVERY_US
from gpuledger.clock import Clock
from gpuledger.errors import DeviceError

_EVENT_SET: Final = 0xE7E0
_PYNVML: Final = threading.RLock()  # pynvml holds one library for the whole process

_DEVICE_CALLS: Final[dict[str, Callable[..., int]]] = {
    "nvmlDeviceGetName": calls.name,
    "nvmlDeviceGetArchitecture": calls.architecture,
    "nvmlDeviceGetUUID": calls.uuid,
    "nvmlDeviceGetSerial": calls.serial,
    "nvmlDeviceGetIndex": calls.index,
    "nvmlDeviceGetMinorNumber": calls.minor_number,
    "nvmlDeviceGetPciInfo_v3": calls.pci_info,
    "nvmlDeviceGetMemoryInfo": calls.memory,
    "nvmlDeviceGetMemoryInfo_v2": calls.memory_v2,
    "nvmlDeviceGetUtilizationRates": calls.utilization,
    "nvmlDeviceGetPowerUsage": calls.power_usage,
    "nvmlDeviceGetPowerManagementLimit": calls.power_limit,
    "nvmlDeviceGetPowerManagementLimitConstraints": calls.power_limits,
    "nvmlDeviceGetTotalEnergyConsumption": calls.total_energy,
    "nvmlDeviceGetFieldValues": calls.field_values,
    "nvmlDeviceGetTemperature": calls.temperature,
    "nvmlDeviceGetTemperatureV": calls.temperature_v,
    "nvmlDeviceGetComputeRunningProcesses_v3": calls.compute_processes,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": calls.graphics_processes,
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": calls.mps_processes,
    "nvmlDeviceGetProcessUtilization": calls.process_utilization,
    "nvmlDeviceGetProcessesUtilizationInfo": calls.processes_utilization_info,
    "nvmlDeviceGetCurrentClocksEventReasons": calls_condition.throttle_reasons,
    "nvmlDeviceGetCurrentClocksThrottleReasons": calls_condition.throttle_reasons,
    "nvmlDeviceGetClockInfo": calls_condition.clock_info,
    "nvmlDeviceGetEncoderUtilization": calls_condition.video_utilization,
    "nvmlDeviceGetDecoderUtilization": calls_condition.video_utilization,
    "nvmlDeviceGetFanSpeed": calls_condition.fan_speed,
    "nvmlDeviceGetAccountingMode": calls_condition.accounting_mode,
    "nvmlDeviceGetAccountingBufferSize": calls_condition.accounting_buffer_size,
    "nvmlDeviceGetAccountingPids": calls_condition.accounting_pids,
    "nvmlDeviceGetAccountingStats": calls_condition.accounting_stats,
    "nvmlDeviceGetGpuInstanceById": calls.gpu_instance_handle,
    "nvmlGpuInstanceGetInfo": calls.gpu_instance_info,
    "nvmlDeviceGetMigMode": calls.mig_mode,
    "nvmlDeviceGetGpuInstanceProfileInfoV": calls.profile_info,
    "nvmlDeviceGetMaxMigDeviceCount": calls.max_mig_count,
    "nvmlDeviceGetMigDeviceHandleByIndex": calls.mig_handle,
    "nvmlDeviceGetGpuInstanceId": calls.gpu_instance_id,
    "nvmlDeviceGetComputeInstanceId": calls.compute_instance_id,
    "nvmlDeviceGetAttributes_v2": calls.attributes,
    "nvmlDeviceGetSupportedEventTypes": calls.supported_events,
}


class SimulatedDriver:
    """The driver of one simulated node. `install` puts it behind pynvml for as long as the block runs."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._epoch = ""
        self._opened = 0
        self._boards = self._make_boards()
        self._devices: dict[int, tuple[SimulatedBoard, SliceSpec | None]] = {}
        self._mig_changes: deque[SimulatedBoard] = deque()
        self._failure: Exception | None = None
        self._pointers: dict[str, Any] = {}  # pynvml's cache of function pointers, for this library
        self._refcount = 0
        self.counters = PerformanceCounters(clock)
        self._functions = self._driver_functions() | self._device_functions()
        self._library = DriverLibrary(self._functions)
        for board in self._boards[:1]:
            for symbol in board.capture.missing_symbols:
                self._library.replace(symbol, None)

    @contextmanager
    def install(self) -> Iterator[SimulatedDriver]:
        """Stand behind pynvml until the block ends; other drivers of this process wait meanwhile.

        Raises on leaving what the world raised in a call, since C code cannot pass an exception on.
        """
        with _PYNVML:
            kept = (pynvml.nvmlLib, pynvml._nvmlGetFunctionPointer_cache, pynvml._nvmlLib_refcount)  # noqa: SLF001
            self._put(self._library, self._pointers, self._refcount)
            try:
                yield self
            finally:
                self._refcount = pynvml._nvmlLib_refcount  # noqa: SLF001 - pynvml's own state is what is swapped
                self._put(*kept)
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure

    @staticmethod
    def _put(library: object, pointers: dict[str, Any], refcount: int) -> None:
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache = pointers  # noqa: SLF001 - pynvml's own state is what is swapped
        pynvml._nvmlLib_refcount = refcount  # noqa: SLF001

    def fail(self, function: str, code: int, board: int | None = None) -> None:
        """Make a function of the library answer `code`, on one board (its position in the world) or on all."""
        real = self._functions[function]
        handles = {self._boards[board].handle, *self._boards[board].slices} if board is not None else None

        def failing(*arguments: int) -> int:
            return code if handles is None or arguments[0] in handles else real(*arguments)

        self._replace(function, failing)

    def mend(self, function: str) -> None:
        """Let a function of the library answer as it did before `fail` or `remove`."""
        self._replace(function, self._functions[function])

    def remove(self, function: str) -> None:
        """Take a symbol out of the library, as in an older driver."""
        self._replace(function, None)

    def wrap(self, wrapper: Callable[[Callable[..., int]], Callable[..., int]]) -> None:
        """Put each function of the library behind `wrapper`, to count or time the calls."""
        for name, function in self._functions.items():
            if hasattr(self._library, name):
                self._replace(name, wrapper(function))

    def recut(self) -> None:
        """Read the world's boards again, as after MIG instances were made or destroyed, and report the change."""
        watched = {board.spec.uuid for board in self._boards if board.watched}
        self._boards = self._make_boards()
        for board in self._boards:
            board.watched = board.spec.uuid in watched
        if self._opened:
            self._show_devices()
        self._mig_changes.extend(board for board in self._boards if board.capture.mig)

    def _replace(self, function: str, by: Callable[..., int] | None) -> None:
        self._library.replace(function, by and self._guarded(by))
        self._pointers.clear()

    def _make_boards(self) -> tuple[SimulatedBoard, ...]:
        specs = enumerate(self._world.boards())
        return tuple(SimulatedBoard(self._world, self._clock, position, spec) for position, spec in specs)

    def _show_devices(self) -> None:
        self._devices = {board.handle: (board, None) for board in self._boards}
        for board in self._boards:
            self._devices |= {handle: (board, part) for handle, part in board.slices.items()}

    def _driver_functions(self) -> dict[str, Callable[..., int]]:
        functions: dict[str, Callable[..., int]] = {
            "nvmlInitWithFlags": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlSystemGetDriverVersion": self._driver_version,
            "nvmlSystemGetNVMLVersion": self._driver_version,
            "nvmlSystemGetProcessName": self._process_name,
            "nvmlDeviceGetCount_v2": self._count,
            "nvmlDeviceGetHandleByIndex_v2": self._handle_by_index,
            "nvmlDeviceGetHandleByUUID": self._handle_by_uuid,
            "nvmlDeviceRegisterEvents": self._register_events,
            "nvmlEventSetCreate": self._create_event_set,
            "nvmlEventSetFree": self._free_event_set,
            "nvmlEventSetWait_v2": self._wait_for_event,
            **self.counters.functions(),
        }
        return {name: self._guarded(function) for name, function in functions.items()}

    def _device_functions(self) -> dict[str, Callable[..., int]]:
        functions = {**_DEVICE_CALLS, **self.counters.device_functions()}
        return {name: self._of_device(name, function) for name, function in functions.items()}

    def _of_device(self, name: str, function: Callable[..., int]) -> Callable[..., int]:
        """Return `function` as the library has it: its first argument is a handle, of a board that answers."""

        def call(handle: int | None, *arguments: Any) -> int:  # noqa: ANN401 - C arguments
            try:
                board, part = self._devices[handle or 0]
                if board.refresh().lost:
                    return codes.GPU_IS_LOST
                if name in board.unsupported:
                    return codes.NOT_SUPPORTED
                return function(board, part, *arguments)
            except KeyError:
                return codes.INVALID_ARGUMENT if self._opened else codes.UNINITIALIZED
            except Exception as error:  # noqa: BLE001 - cannot pass through C: kept, and raised by `install`
                self._failure = self._failure or error
                return codes.UNKNOWN

        return call

    def _guarded(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:  # noqa: ANN401 - C arguments
            try:
                return function(*arguments)
            except Exception as error:  # noqa: BLE001 - cannot pass through C: kept, and raised by `install`
                self._failure = self._failure or error
                return codes.UNKNOWN

        return call

    def _init(self, _flags: int) -> int:
        self._epoch = self._world.epoch(self._clock.now_us())
        self._opened += 1
        self._show_devices()
        return codes.SUCCESS

    def _shutdown(self) -> int:
        if not self._opened:
            return codes.UNINITIALIZED
        self._opened -= 1
        if not self._opened:
            self._devices = {}
        return codes.SUCCESS

    def _driver_version(self, out: int, size: int) -> int:
        version = self._boards[0].capture.driver_version if self._boards else "0"
        return codes.SUCCESS if write_text(out, size, version) else codes.INSUFFICIENT_SIZE

    def _process_name(self, pid: int, out: int, size: int) -> int:
        for board in self._boards:
            for process in board.state.processes:
                if process.pid == pid:
                    name = "nvidia-cuda-mps-server" if process.kind == "mps_server" else "python3"
                    return codes.SUCCESS if write_text(out, size, name) else codes.INSUFFICIENT_SIZE
        return codes.NOT_FOUND

    def _count(self, out: int) -> int:
        if self._world.epoch(self._clock.now_us()) != self._epoch:
            self._opened, self._devices = 0, {}  # the driver was loaded anew: what was opened before is gone
        if not self._opened:
            return codes.UNINITIALIZED
        write_uint(out, len(self._boards))
        return codes.SUCCESS

    def _handle_by_index(self, position: int, out: int) -> int:
        if not self._opened:
            return codes.UNINITIALIZED
        if position >= len(self._boards):
            return codes.INVALID_ARGUMENT
        return self._give_handle(self._boards[position], out)

    def _handle_by_uuid(self, uuid: bytes, out: int) -> int:
        for board in self._boards:
            if board.spec.uuid.encode() == uuid:
                return self._give_handle(board, out)
        return codes.NOT_FOUND

    def _give_handle(self, board: SimulatedBoard, out: int) -> int:
        if board.refresh().lost:
            return codes.GPU_IS_LOST
        ctypes.c_void_p.from_address(out).value = board.handle
        return codes.SUCCESS

    def _register_events(self, handle: int, _types: int, _event_set: int) -> int:
        self._devices[handle][0].watched = True
        return codes.SUCCESS

    def _create_event_set(self, out: int) -> int:
        if not self._opened:
            return codes.UNINITIALIZED
        ctypes.c_void_p.from_address(out).value = _EVENT_SET
        return codes.SUCCESS

    def _free_event_set(self, _event_set: int) -> int:
        for board in self._boards:
            board.watched = False
            board.events.clear()
        return codes.SUCCESS

    def _wait_for_event(self, _event_set: int, out: int, _timeout_ms: int) -> int:
        """Deliver the oldest event once. Waiting times out at once: a virtual clock does not move meanwhile."""
        if self._mig_changes:
            return self._deliver(self._mig_changes.popleft(), Reported(pynvml.nvmlEventMigConfigChange), out)
        for board in self._boards:
            board.refresh()
            if board.events:
                return self._deliver(board, board.events.popleft(), out)
        return codes.TIMEOUT

    def _deliver(self, board: SimulatedBoard, event: Reported, out: int) -> int:
        data = pynvml.c_nvmlEventData_t.from_address(out)
        ctypes.c_void_p.from_address(out).value = board.handle
        data.eventType, data.eventData = event.kind, event.value
        data.gpuInstanceId, data.computeInstanceId = event.gpu_instance, event.compute_instance
        return codes.SUCCESS


class SimulatedSource:
    """An NvmlSource that has its driver behind pynvml whenever it reads."""

    def __init__(self, driver: SimulatedDriver, source: NvmlSource) -> None:
        self.driver = driver
        self._source = source

    def read(self) -> NodeReading:
        """Return the current reading of every GPU, as DeviceSource says."""
        with self.driver.install():
            return self._source.read()

    def close(self) -> None:
        """Release the driver."""
        with self.driver.install():
            self._source.close()


def simulated_source(
    world: World,
    clock: Clock,
    *,
    gauges: bool = True,
    accounting: bool = True,
    all_samples: bool = True,
    slow_every_us: int = DEFAULT_SLOW_EVERY_US,
) -> DeviceSource:
    """Return a DeviceSource that reads `world` through the real pynvml, at the time of `clock`.

    The other arguments are those of NvmlSource.

    Raises DeviceError where the world has no boards.
    """
    if not world.boards():
        raise DeviceError("the simulated world has no GPUs", hint="give the scenario's node at least one")
    source = NvmlSource(
        clock=clock,
        gauges=gauges,
        accounting=accounting,
        all_samples=all_samples,
        slow_every_us=slow_every_us,
        epoch=lambda: world.epoch(clock.now_us()),
    )
    return SimulatedSource(SimulatedDriver(world, clock), source)

"""One GPU through NVML: its static facts, read once, and its readings, with as few calls as tell the truth."""

from __future__ import annotations

import ctypes
import logging
from typing import Any, Final

import pynvml

from agent.devices.base import BoardReading, InstanceReading, ProcessReading
from agent.devices.marks import BoardMarks
from agent.devices.nvml import codes
from agent.devices.nvml.activity import decide_process_activity
from agent.devices.nvml.instances import NvmlInstance, find_instances
from agent.devices.nvml.mig import remainder_of
from agent.devices.nvml.processes import ProcessLists
from gpuledger.errors import ConservationError
from gpuledger.model import Device

_PPM_PER_PERCENT: Final = 10_000
_MOST_ENERGY_MJ: Final = 2**63 - 1  # no board uses more: a driver that says so writes ones for "not available"
_log = logging.getLogger(__name__)
_ENERGY: Final = (pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0)
_POWER: Final = (pynvml.NVML_FI_DEV_POWER_AVERAGE, 0)
_VALUE_OF_TYPE: Final = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}


def handle_address(handle: Any) -> int:  # noqa: ANN401 - a handle of NVML
    """Return what tells one device handle from another."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


class NvmlBoard:
    """A GPU of the node. Constructing it reads what never changes while NVML stays open, and raises NVMLError.

    Without `gauges` it reads only what metering needs: energy, activity, processes.
    """

    def __init__(self, handle: Any, index: int, *, gauges: bool) -> None:  # noqa: ANN401 - a handle of NVML
        self.address = handle_address(handle)
        self.dropped_samples = 0
        self._handle = handle
        self._gauges = gauges
        self._processes = ProcessLists(handle)
        self._lost_code = codes.SUCCESS
        self._absent: set[Any] = set()  # functions that have no answer on this board
        self._fields = [_ENERGY, _POWER] if gauges else []  # one call for both; alone, each has a cheaper one
        self._mig = _mig_enabled(handle)
        self._recut = False
        self._instances: tuple[NvmlInstance, ...] | None = None
        self._last_instances: tuple[Device, ...] = ()
        self._pids: frozenset[int] = frozenset()
        self._last_seen_us: int | None = None
        self.device = Device(
            key=pynvml.nvmlDeviceGetUUID(handle),
            kind="gpu",
            model=pynvml.nvmlDeviceGetName(handle),
            memory_bytes=self._memory_total(),
            pci_bus_id=pynvml.nvmlDeviceGetPciInfo(handle).busId,
            index=index,
        )

    @property
    def marks(self) -> BoardMarks:
        """Return what whoever reads this board next goes on from."""
        return BoardMarks(self.device, self._mig, self._last_instances, tuple(self._pids), self._last_seen_us)

    def go_on_from(self, earlier: BoardMarks) -> None:
        """Take over which samples of processes were read, so that opening NVML anew loses the work of no sharer."""
        self._pids = frozenset(earlier.pids)
        self._last_seen_us = earlier.last_seen_us

    def register_events(self, event_set: Any, wanted: int) -> None:  # noqa: ANN401 - a handle of NVML
        """Ask the driver to report those of the `wanted` events that it supports on this board."""
        if self._lost_code:
            return
        supported = self._optional(pynvml.nvmlDeviceGetSupportedEventTypes) or 0
        if supported & wanted:
            pynvml.nvmlDeviceRegisterEvents(self._handle, supported & wanted, event_set)

    def forget_instances(self) -> None:
        """Find out anew at the next reading whether and how the board is cut."""
        self._recut = True

    def lose(self, code: int) -> None:
        """Mark the board as one that the driver no longer hands out; readings report the fault of `code`."""
        self._lost_code = code
        self.address = 0  # the driver may have given it to another board

    def read(self, now_us: int) -> BoardReading:
        """Return the board's reading; a failing board is a `fault`.

        Raises NVMLError where the driver itself is gone.
        """
        if self._lost_code:
            return self._fault(self._lost_code)
        try:
            if self._recut:
                self._find_cut()
            return self._read_mig() if self._mig else self._read_whole(now_us)
        except pynvml.NVMLError as error:
            if error.value in codes.DRIVER_GONE:
                raise
            self._last_seen_us = None
            return self._fault(error.value)
        except ConservationError as error:  # caught while it is cut anew, or cut as nobody has seen yet
            _log.warning("%s cannot be read: %s", self.device.key, error)
            self._recut = True
            return self._fault(codes.UNKNOWN)

    def _find_cut(self) -> None:
        self._mig = _mig_enabled(self._handle)
        self._instances, self._last_instances = None, ()
        self._absent.clear()  # what a board supports depends on whether it is cut
        self._recut = False

    def _fault(self, code: int) -> BoardReading:
        instances = tuple(InstanceReading(device, None, ()) for device in self._last_instances)
        return BoardReading(self.device, fault=codes.fault_of(code), mig=self._mig, instances=instances)

    def _read_whole(self, now_us: int) -> BoardReading:
        energy_mj, power_mw = self._energy_and_power()
        utilization = self._optional(pynvml.nvmlDeviceGetUtilizationRates)
        processes = self._processes.read()
        return BoardReading(
            self.device,
            energy_mj=energy_mj,
            power_mw=power_mw,
            utilization_ppm=None if utilization is None else utilization.gpu * _PPM_PER_PERCENT,
            memory_used_bytes=self._memory_used() if self._gauges else None,
            temperature_c=self._temperature() if self._gauges else None,
            processes=processes,
            process_activity_ppm=self._process_activity(processes, now_us),
        )

    def _read_mig(self) -> BoardReading:
        energy_mj, power_mw = self._energy_and_power()
        instances = self._read_instances()
        used = [reading.memory_used_bytes for reading in instances if reading.device.kind == "mig"]
        return BoardReading(
            self.device,
            mig=True,
            energy_mj=energy_mj,
            power_mw=power_mw,
            memory_used_bytes=None if None in used else sum(value or 0 for value in used),
            temperature_c=self._temperature() if self._gauges else None,
            instances=instances,
        )

    def _read_instances(self) -> tuple[InstanceReading, ...]:
        if self._instances is None:
            return self._read_fresh_instances()
        try:
            return self._readings_of(self._instances)
        except pynvml.NVMLError as error:
            if codes.fault_of(error.value) != "unreadable" or error.value in codes.DRIVER_GONE:
                raise
            return self._read_fresh_instances()  # handles go stale when the board is cut anew

    def _read_fresh_instances(self) -> tuple[InstanceReading, ...]:
        self._instances = find_instances(self._handle, self.device, gauges=self._gauges)
        return self._readings_of(self._instances)

    def _readings_of(self, instances: tuple[NvmlInstance, ...]) -> tuple[InstanceReading, ...]:
        readings = [instance.read() for instance in instances]
        remainder = remainder_of(self.device, [reading.device for reading in readings])
        if remainder is not None:
            readings.append(InstanceReading(remainder, None, ()))
        self._last_instances = tuple([reading.device for reading in readings])
        return tuple(readings)

    def _optional(self, function: Any) -> Any:  # noqa: ANN401 - functions of pynvml are untyped
        """Return the function's answer for this board, or None where the board has none."""
        if function in self._absent:
            return None
        try:
            return function(self._handle)
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            self._absent.add(function)
            return None

    def _energy_and_power(self) -> tuple[int | None, int | None]:
        values = self._field_values() if self._fields else {}
        energy_mj, power_mw = values.get(_ENERGY[0]), values.get(_POWER[0])
        if energy_mj is None:
            energy_mj = self._optional(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        if energy_mj is not None and energy_mj > _MOST_ENERGY_MJ:
            energy_mj = None
        if power_mw is None and (self._gauges or energy_mj is None):
            power_mw = self._optional(pynvml.nvmlDeviceGetPowerUsage)
        return energy_mj, power_mw

    def _field_values(self) -> dict[int, int]:
        try:
            entries = pynvml.nvmlDeviceGetFieldValues(self._handle, self._fields)
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            self._fields = []
            return {}
        values = {}
        for entry in entries:
            code = entry.nvmlReturn
            if code == codes.SUCCESS:
                values[entry.fieldId] = int(getattr(entry.value, _VALUE_OF_TYPE[entry.valueType]))
            elif code in codes.ABSENT or code == codes.INVALID_ARGUMENT:  # a driver that does not know the field
                self._fields = [field for field in self._fields if field[0] != entry.fieldId]
            elif code in codes.BOARD_FAULTS:
                raise pynvml.NVMLError(code)
        return values

    def _memory_total(self) -> int | None:
        memory = self._optional(_memory_v2) or self._optional(pynvml.nvmlDeviceGetMemoryInfo)
        return None if memory is None else memory.total

    def _memory_used(self) -> int | None:
        memory = self._optional(_memory_v2) or self._optional(pynvml.nvmlDeviceGetMemoryInfo)
        return None if memory is None else memory.used

    def _temperature(self) -> int | None:
        value: int | None = self._optional(_temperature_v)
        return self._optional(_temperature) if value is None else value

    def _process_activity(self, processes: tuple[ProcessReading, ...], now_us: int) -> dict[int, int] | None:
        """Return each process's activity since the previous reading, asked only where processes shared the board.

        None where nobody shared it, where the driver cannot tell, and where the period has no known beginning (the
        first reading, or one after the clock was set back).
        """
        pids = frozenset([process.pid for process in processes])
        shared = len(pids | self._pids) > 1
        self._pids = pids
        last_seen_us = self._last_seen_us
        if not shared or last_seen_us is None or last_seen_us > now_us:
            self._last_seen_us = now_us
            return None
        return self._activity_since(last_seen_us)

    def _activity_since(self, last_seen_us: int) -> dict[int, int] | None:
        if pynvml.nvmlDeviceGetProcessUtilization in self._absent:
            return None
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(self._handle, last_seen_us)
        except pynvml.NVMLError as error:
            if error.value in (codes.SUCCESS, codes.NOT_FOUND):  # nobody worked; pynvml raises on a probe of size 0
                return {}
            if error.value not in codes.ABSENT:
                raise
            self._absent.add(pynvml.nvmlDeviceGetProcessUtilization)
            return None
        activity = decide_process_activity(samples, last_seen_us)
        self.dropped_samples += activity.dropped
        self._last_seen_us = activity.last_seen_us
        return activity.ppm


def _mig_enabled(handle: Any) -> bool:  # noqa: ANN401 - a handle of NVML
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except pynvml.NVMLError as error:
        if error.value not in codes.ABSENT:
            raise
        return False


def _memory_v2(handle: Any) -> Any:  # noqa: ANN401 - structs of NVML
    return pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)


def _temperature_v(handle: Any) -> Any:  # noqa: ANN401 - a handle of NVML
    return pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)


def _temperature(handle: Any) -> Any:  # noqa: ANN401 - a handle of NVML
    return pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)

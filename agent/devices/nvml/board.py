"""One GPU through NVML: its static facts, read once, and its readings, with as few calls as tell the truth."""

from __future__ import annotations

import ctypes
import logging
from typing import Any, Final, NamedTuple

import pynvml

from agent.devices.base import BoardHealth, BoardReading, EndedProcess, InstanceReading, ProcessReading
from agent.devices.marks import BoardMarks
from agent.devices.nvml import codes
from agent.devices.nvml.accounting import AccountingReader
from agent.devices.nvml.activity import ProcessActivity, decide_process_activity
from agent.devices.nvml.answers import NvmlAnswers
from agent.devices.nvml.fields import FieldReader
from agent.devices.nvml.gpm import GpmReader, supports_gpm
from agent.devices.nvml.instances import MigInstances
from agent.devices.nvml.library import answer_or_none
from agent.devices.nvml.processes import ProcessLists
from agent.devices.nvml.utilization import ProcessSamples
from agent.samplers.board import DEFAULT_SLOW_EVERY_US, BoardSamplers
from agent.samplers.tally import SamplerTally
from gpuledger.errors import ConservationError
from gpuledger.model import Device

_PPM_PER_PERCENT: Final = 10_000
_MOST_ENERGY_MJ: Final = 2**63 - 1  # no board uses more: a driver that says so writes ones for "not available"
_log = logging.getLogger(__name__)
_ENERGY: Final = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
_POWER: Final = pynvml.NVML_FI_DEV_POWER_AVERAGE


class BoardSettings(NamedTuple):
    """What to read of a board. Without `gauges` only what metering needs: energy, activity, processes, condition."""

    gauges: bool = True
    accounting: bool = True  # the driver's record of processes that ended, where accounting mode is on
    gpm: bool = True  # performance counters, where the board has them
    all_samples: bool = True  # samples of processes also of boards that nobody shares: who came and went meanwhile
    slow_every_us: int = DEFAULT_SLOW_EVERY_US  # how often the slow families of telemetry are read


def handle_address(handle: Any) -> int:  # noqa: ANN401 - a handle of NVML
    """Return what tells one device handle from another."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


class NvmlBoard:
    """A GPU of the node. Constructing it reads what never changes while NVML stays open, and raises NVMLError."""

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - a handle of NVML
        index: int,
        settings: BoardSettings,
        tally: SamplerTally,
    ) -> None:
        self.address = handle_address(handle)
        self.dropped_samples = 0
        self._handle = handle
        self._gauges = settings.gauges
        self._all_samples = settings.all_samples
        self._tally = tally
        self._processes = ProcessLists(handle)
        self._samples = ProcessSamples(handle)
        self._accounting = AccountingReader(handle) if settings.accounting else None
        self._samplers = BoardSamplers(tally, gauges=settings.gauges, slow_every_us=settings.slow_every_us)
        self._answers = NvmlAnswers(handle, self._samplers.fields)
        self._lost_code = codes.SUCCESS
        self._absent: set[Any] = set()  # functions that have no answer on this board
        self._fields = FieldReader(
            handle, (_ENERGY, _POWER) if settings.gauges else ()
        )  # alone, each has a cheaper call
        self._mig = _mig_enabled(handle)
        self._gpm_supported = settings.gpm and supports_gpm(handle)
        self._gpm = GpmReader(handle) if self._gpm_supported and settings.gauges else None
        self._recut = False
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
        self._minor: int | None = answer_or_none(pynvml.nvmlDeviceGetMinorNumber, handle)
        self._instances = MigInstances(handle, self.device, tally, gauges=settings.gauges, gpm=self._gpm_supported)

    @property
    def marks(self) -> BoardMarks:
        """Return what whoever reads this board next goes on from."""
        told = None if self._accounting is None else self._accounting.mark
        pids, seen_us = tuple(self._pids), self._last_seen_us
        return BoardMarks(self.device, self._mig, self._instances.last, pids, seen_us, told, self._samplers.mark)

    def go_on_from(self, earlier: BoardMarks) -> None:
        """Take over what was read of samples and records, so that opening NVML anew loses and doubles nothing."""
        self._pids = frozenset(earlier.pids)
        self._last_seen_us = earlier.last_seen_us
        self._samplers.go_on_from(earlier.slow_health)
        if self._accounting is not None:
            self._accounting.go_on_from(earlier.told)

    def close(self) -> None:
        """Give back what the driver lent. It must still be open."""
        if self._gpm is not None:
            self._gpm.close()
        self._instances.close()

    def look_now(self) -> None:
        """Read the slow families of telemetry at the next reading, because the driver reported something."""
        self._samplers.look_now()

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
            return self._read_mig(now_us) if self._mig else self._read_whole(now_us)
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
        self._instances.forget()
        self._absent.clear()  # what a board supports depends on whether it is cut
        self._answers.forget_absent()
        self._samples.forget_absent()
        if self._accounting is not None:
            self._accounting.look_again()
        self._recut = False

    def _fault(self, code: int) -> BoardReading:
        instances = tuple(InstanceReading(device, None, ()) for device in self._instances.last)
        fault = codes.fault_of(code)
        return BoardReading(self.device, fault=fault, mig=self._mig, instances=instances, minor=self._minor)

    def _read_whole(self, now_us: int) -> BoardReading:
        energy_mj, power_mw = self._energy_and_power()
        utilization = self._optional(pynvml.nvmlDeviceGetUtilizationRates)
        processes = self._processes.read()
        activity, ppm = self._process_activity(processes, now_us)
        memory = self._memory() if self._gauges else None
        seen = None if activity is None else activity.seen_us
        return BoardReading(
            self.device,
            energy_mj=energy_mj,
            power_mw=power_mw,
            utilization_ppm=None if utilization is None else utilization.gpu * _PPM_PER_PERCENT,
            memory_used_bytes=None if memory is None else memory.used,
            temperature_c=self._temperature() if self._gauges else None,
            processes=processes,
            process_activity_ppm=ppm,
            minor=self._minor,
            ended=self._ended(seen or {}),
            sm_active_ppm=self._sm_active(now_us),
            process_seen_us=seen,
            health=self._health(now_us, utilization, memory),
        )

    def _read_mig(self, now_us: int) -> BoardReading:
        energy_mj, power_mw = self._energy_and_power()
        instances = self._instances.read(now_us)
        used = [reading.memory_used_bytes for reading in instances if reading.device.kind == "mig"]
        return BoardReading(
            self.device,
            mig=True,
            energy_mj=energy_mj,
            power_mw=power_mw,
            memory_used_bytes=None if None in used else sum(value or 0 for value in used),
            temperature_c=self._temperature() if self._gauges else None,
            instances=instances,
            minor=self._minor,
            sm_active_ppm=self._sm_active(now_us),
            health=self._health(now_us, None, None),
        )

    def _health(self, now_us: int, utilization: Any, memory: Any) -> BoardHealth:  # noqa: ANN401 - structs of NVML
        health = self._samplers.read(self._answers, now_us)
        if health.slow_at_us == now_us and self._accounting is not None:
            self._accounting.look_again()
        if utilization is not None and self._gauges:
            health = health._replace(memory_copy_ppm=utilization.memory * _PPM_PER_PERCENT)
        if memory is not None:
            reserved: int | None = getattr(memory, "reserved", None)
            health = health._replace(memory_free_bytes=memory.free, memory_reserved_bytes=reserved)
        return health

    def _sm_active(self, now_us: int) -> int | None:
        if self._gpm is None:
            return None
        activity = self._tally.run("gpm", self._gpm.read, now_us)
        return None if activity is None else activity.sm_ppm

    def _ended(self, seen: dict[int, tuple[int, int]]) -> tuple[EndedProcess, ...]:
        if self._accounting is None or self._accounting.off:
            return ()
        return self._tally.run("accounting", self._accounting.read, self._pids, seen) or ()

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
        energy_mj, power_mw = values.get(_ENERGY), values.get(_POWER)
        if energy_mj is None:
            energy_mj = self._optional(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        if energy_mj is not None and energy_mj > _MOST_ENERGY_MJ:
            energy_mj = None
        if power_mw is None and (self._gauges or energy_mj is None):
            power_mw = self._optional(pynvml.nvmlDeviceGetPowerUsage)
        return energy_mj, power_mw

    def _field_values(self) -> dict[int, int]:
        try:
            values, failed = self._fields.read()
        except pynvml.NVMLError as error:
            if error.value not in codes.ABSENT:
                raise
            return {}
        for code in failed.values():
            if code in codes.BOARD_FAULTS:
                raise pynvml.NVMLError(code)
        return values

    def _memory_total(self) -> int | None:
        memory = self._memory()
        return None if memory is None else memory.total

    def _memory(self) -> Any:  # noqa: ANN401 - a struct of NVML
        return self._optional(_memory_v2) or self._optional(pynvml.nvmlDeviceGetMemoryInfo)

    def _temperature(self) -> int | None:
        value: int | None = self._optional(_temperature_v)
        return self._optional(_temperature) if value is None else value

    def _process_activity(
        self, processes: tuple[ProcessReading, ...], now_us: int
    ) -> tuple[ProcessActivity | None, dict[int, int] | None]:
        """Return what the driver's samples say, and each process's activity where processes shared the board.

        None where the driver cannot tell, and where the period has no known beginning (the first reading, or one after
        the clock was set back). A process that came and went since the previous reading is a sharer, too.
        """
        pids = frozenset([process.pid for process in processes])
        present = pids | self._pids
        self._pids = pids
        last_seen_us = self._last_seen_us
        unwanted = not self._all_samples and len(present) < 2
        if unwanted or last_seen_us is None or last_seen_us > now_us:
            self._last_seen_us = now_us
            return None, None
        samples = self._samples.read(last_seen_us)
        if samples is None:
            return None, None
        activity = decide_process_activity(samples, last_seen_us)
        self.dropped_samples += activity.dropped
        self._last_seen_us = activity.last_seen_us
        shared = len(present | activity.seen_us.keys()) > 1
        return activity, activity.ppm if shared else None


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

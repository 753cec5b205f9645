"""Reads a node's GPUs through NVML: the session with the driver, its failures, and what it reports on its own."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pynvml

from agent.devices.base import BoardReading, DriverEvent, NodeReading
from agent.devices.marks import BoardMarks
from agent.devices.nvml import codes
from agent.devices.nvml.board import BoardSettings, NvmlBoard, handle_address
from agent.devices.nvml.epoch import read_driver_epoch
from agent.devices.nvml.remembered import RememberedBoard
from agent.samplers.board import DEFAULT_SLOW_EVERY_US
from agent.samplers.tally import SamplerTally
from gpuledger.clock import Clock, WallClock
from gpuledger.errors import DeviceError

_REOPEN_AFTER_US: Final = 60_000_000  # handles of a lost board stay dead until NVML is opened again
_EVENTS_PER_READ: Final = 1_000  # a driver that never stops reporting must not stop the reading
_XID: Final = pynvml.nvmlEventTypeXidCriticalError
_MIG_CHANGE: Final = pynvml.nvmlEventMigConfigChange
_CONDITION: Final = (  # these change what the slow samplers read: they look at once, and say what became of what
    pynvml.nvmlEventTypeDoubleBitEccError
    | pynvml.nvmlEventTypeDramRetirementEvent
    | pynvml.nvmlEventTypeDramRetirementFailure
    | pynvml.nvmlEventTypeNonFatalPoisonError
    | pynvml.nvmlEventTypeFatalPoisonError
    | pynvml.nvmlEventTypeGpuUnavailableError
    | pynvml.nvmlEventTypeGpuRecoveryAction
)
_NO_INSTANCE: Final = 0xFFFFFFFF
_Board = NvmlBoard | RememberedBoard

_log = logging.getLogger(__name__)


class NvmlSource:
    """A DeviceSource over the NVIDIA driver. It opens at the first reading, and again whenever the driver was gone.

    `library` names the driver library to load instead of the system's `libnvidia-ml.so.1`. Without `gauges` it reads
    only what metering needs: no temperature, no memory in use beside that of processes, no power where energy is
    counted. `slow_every_us` is the pace of the slow families of telemetry; without `accounting` the driver's record of
    ended processes is left alone, without `gpm` the performance counters, and without `all_samples` the samples of
    processes of boards that nobody shares. `epoch` tells since when the energy counters of all boards count.
    `marks` are what an earlier source left; `opening` is called before NVML is opened, which may take long.

    What the driver reports (XIDs) waits in a queue of the kernel that belongs to our event set, so it is enough to look
    at each reading; only what is reported while NVML is opened anew is lost, and is in the kernel's log.
    """

    def __init__(
        self,
        library: Path | None = None,
        *,
        clock: Clock | None = None,
        gauges: bool = True,
        accounting: bool = True,
        gpm: bool = True,
        all_samples: bool = True,
        slow_every_us: int = DEFAULT_SLOW_EVERY_US,
        epoch: Callable[[], str] = read_driver_epoch,
        marks: tuple[BoardMarks, ...] = (),
        opening: Callable[[], None] = lambda: None,
    ) -> None:
        self._library = library
        self._clock = clock or WallClock()
        self._settings = BoardSettings(gauges, accounting, gpm, all_samples, slow_every_us)
        self._tally = SamplerTally()
        self._epoch = epoch
        self._session: _Session | None = None
        self._opening = opening
        # Of the last session: a board that is lost now had its name then.
        self._known: tuple[_Board, ...] = tuple(map(RememberedBoard, marks))
        self._events: list[DriverEvent] = []  # reported by the driver, in no reading yet
        self.openings = 0  # how often NVML was initialised

    @property
    def dropped_samples(self) -> int:
        """Return how many utilisation samples of processes were not believed since the last opening."""
        return sum(board.dropped_samples for board in self._session.boards) if self._session else 0

    @property
    def marks(self) -> tuple[BoardMarks, ...]:
        """Return what the next source goes on from."""
        return tuple([board.marks for board in self._known])

    def read(self) -> NodeReading:
        """Return the current reading of every GPU. One failing GPU becomes a `fault`, never an exception.

        Raises DeviceError where the driver as a whole does not answer.
        """
        now_us = self._clock.now_us()
        if self._session is None or self._session.is_stale(now_us):
            return self._read(self._open(now_us), now_us)
        try:
            return self._read(self._session, now_us)
        except DeviceError:
            return self._read(self._open(now_us), now_us)

    def close(self) -> None:
        """Release the driver."""
        session, self._session = self._session, None
        if session is None:
            return
        session.close()
        _shut_down()

    def _open(self, now_us: int) -> _Session:
        self.close()
        self._opening()
        if self._library is not None:
            _load_library(self._library)
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise codes.driver_error("opening", error.value, str(error)) from error
        self.openings += 1
        try:
            self._session = _Session(self._known, now_us, self._settings, self._tally)
        except pynvml.NVMLError as error:
            _shut_down()  # NVML counts its openings: one left over would keep the next from being a new one
            raise codes.driver_error("listing its GPUs", error.value, str(error)) from error
        self._known = self._session.boards
        return self._session

    def _read(self, session: _Session, now_us: int) -> NodeReading:
        self._tally.begin_round()
        try:
            self._events += session.read_events()
            boards = session.read_boards(now_us)
        except pynvml.NVMLError as error:
            raise codes.driver_error("reading", error.value, str(error)) from error
        events, self._events = tuple(self._events), []
        return NodeReading(self._epoch(), session.driver_version, boards, events, self._tally.stats())


class _Session:
    """What holds from one initialisation of NVML to the next: handles, static facts, registered events."""

    def __init__(self, known: tuple[_Board, ...], now_us: int, settings: BoardSettings, tally: SamplerTally) -> None:
        self.opened_us = now_us
        self.driver_version: str = pynvml.nvmlSystemGetDriverVersion()
        self.count: int = pynvml.nvmlDeviceGetCount()
        self.pending_events: list[DriverEvent] = []
        self.boards = self._find_boards(known, settings, tally)
        self._by_address = {board.address: board for board in self.boards}
        self._event_set = self._register_events()
        self._faulted = False

    def close(self) -> None:
        """Give back what the driver lent, as far as it still takes it."""
        for board in self.boards:
            try:
                board.close()
            except pynvml.NVMLError as error:
                _log.warning("samples of %s were not given back: %s", board.device.key, error)

    def is_stale(self, now_us: int) -> bool:
        """Whether boards may be found again, or events heard again, by opening NVML anew."""
        failing = self._faulted or self._event_set is None
        return failing and not 0 <= now_us - self.opened_us < _REOPEN_AFTER_US

    def _find_boards(
        self, known: tuple[_Board, ...], settings: BoardSettings, tally: SamplerTally
    ) -> tuple[_Board, ...]:
        found: dict[str, _Board] = {}
        refused: list[tuple[int, int]] = []
        earlier = {board.device.key: board for board in known}
        for index in range(self.count):
            try:
                board = NvmlBoard(pynvml.nvmlDeviceGetHandleByIndex(index), index, settings, tally)
            except pynvml.NVMLError as error:
                if error.value in codes.DRIVER_GONE:
                    raise
                refused.append((index, error.value))
            else:
                found[board.device.key] = board
                if board.device.key in earlier:
                    board.go_on_from(earlier[board.device.key].marks)
        missing = [board for board in known if board.device.key not in found]
        for lost, (_, code) in zip(missing, refused, strict=False):
            lost.lose(code)
            found[lost.device.key] = lost
        self.pending_events.extend(_unidentified(index, code) for index, code in refused[len(missing) :])
        return tuple(sorted(found.values(), key=lambda board: board.device.index or 0))

    def _register_events(self) -> Any:  # noqa: ANN401 - a handle of NVML
        try:
            event_set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError as error:
            self._report_no_events(error)
            return None
        for board in self.boards:
            try:
                board.register_events(event_set, _XID | _MIG_CHANGE | _CONDITION)
            except pynvml.NVMLError as error:
                self._report_no_events(error, board.device.key)
        return event_set

    def _report_no_events(self, error: pynvml.NVMLError, board: str = "") -> None:
        if error.value in codes.DRIVER_GONE:
            raise error
        message = f"the driver reports no events of {board or 'this node'}: {error} (NVML error {error.value})"
        self.pending_events.append(DriverEvent("events_unavailable", board, error.value, message))

    def read_events(self) -> tuple[DriverEvent, ...]:
        """Return what the driver reported since the last call; each report comes once."""
        events, self.pending_events = self.pending_events, []
        heard = 0
        while self._event_set is not None and len(events) + heard < _EVENTS_PER_READ:
            try:
                data = pynvml.nvmlEventSetWait_v2(self._event_set, 0)
            except pynvml.NVMLError as error:
                if error.value != codes.TIMEOUT:
                    self._report_no_events(error)
                    self._event_set = None
                break
            board = self._by_address.get(handle_address(data.device))
            if board and data.eventType & _MIG_CHANGE:
                board.forget_instances()
            elif board:
                board.look_now()
            if data.eventType & (_XID | _MIG_CHANGE):
                events.append(_event(data, board))
            else:
                heard += 1
        return tuple(events)

    def read_boards(self, now_us: int) -> tuple[BoardReading, ...]:
        """Return every board's reading.

        Raises DeviceError where the set of boards changed under this session.
        """
        count = pynvml.nvmlDeviceGetCount()
        if count != self.count:
            raise DeviceError(f"the node had {self.count} GPUs and has {count}", hint="open NVML again")
        readings = tuple([board.read(now_us) for board in self.boards])
        self._faulted = any(reading.fault for reading in readings)
        return readings


def _event(data: Any, board: _Board | None) -> DriverEvent:  # noqa: ANN401 - a struct of NVML
    key = board.device.key if board else ""
    if data.eventType & _XID:
        message = f"XID {data.eventData} on {key or 'an unknown GPU'}"
        return DriverEvent("xid", key, data.eventData, message, details=_instance(data))
    return DriverEvent("mig_config_changed", key, 0, f"the MIG instances of {key or 'an unknown GPU'} changed")


def _instance(data: Any) -> dict[str, str] | None:  # noqa: ANN401 - a struct of NVML
    """Return the MIG instance that an event is about, if it is about one."""
    ids = {"gpu_instance": data.gpuInstanceId, "compute_instance": data.computeInstanceId}
    return {name: str(number) for name, number in ids.items() if number != _NO_INSTANCE} or None


def _unidentified(index: int, code: int) -> DriverEvent:
    words = str(pynvml.NVMLError(code))
    message = f"GPU {index} does not answer and was never identified: {words} (NVML error {code})"
    return DriverEvent("gpu_unidentified", "", code, message)


def _shut_down() -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        if error.value not in codes.DRIVER_GONE:
            raise codes.driver_error("closing", error.value, str(error)) from error


def _load_library(path: Path) -> None:
    """Put the driver library at `path` behind pynvml; a process can hold one at a time."""
    loaded = pynvml.nvmlLib
    if loaded is not None and getattr(loaded, "_name", None) == str(path):
        return
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        message = f"the driver library {path} cannot be loaded: {error}"
        raise DeviceError(message, hint="nvml.library must name a libnvidia-ml.so.1 of this node's driver") from error
    with pynvml.libLoadLock:
        pynvml.nvmlLib = library
        pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - pointers into the other library

"""A device source whose readings also say what is wrong: XIDs told once and classified, changes, faults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth, BoardReading, DeviceSource, DriverEvent, NodeReading
from agent.health.changes import ChangeWatch
from agent.health.conditions import UNAVAILABLE_ON, fault_of
from agent.health.driver_state import DriverState
from agent.health.kernel_log import KernelLog, XidLine, pci_address
from agent.health.xid_events import XidLedger
from agent.samplers.tally import SamplerTally
from gpuledger.clock import Clock
from gpuledger.errors import DeviceError

DEFAULT_SLOW_EVERY_US: Final = 60_000_000
_LIBRARY_MISMATCH: Final = "(NVML error 18)"  # how the driver's errors end that mean library and module differ
_log = logging.getLogger(__name__)


class _Condition(NamedTuple):
    """What was last read of a board, what is known of it since whenever, and the fault that this is."""

    read: BoardHealth
    action: int | None
    failure: int | None
    fault: str


class HealthSource:
    """Reads `source`, wherever that runs, and the kernel beside it; what the two say becomes events and faults.

    `kernel_log` opens the log (None: it is not read). The log is opened once; one that cannot be read is an event.
    """

    def __init__(
        self,
        source: DeviceSource,
        clock: Clock,
        *,
        kernel_log: Callable[[], KernelLog] | None = None,
        driver_state: DriverState | None = None,
        slow_every_us: int = DEFAULT_SLOW_EVERY_US,
        unavailable_on: Collection[str] = UNAVAILABLE_ON,
    ) -> None:
        self._source = source
        self._clock = clock
        self._driver_state = driver_state
        self._slow_every_us = slow_every_us
        self._unavailable_on = frozenset(unavailable_on)
        self._tally = SamplerTally()
        self._xids = XidLedger()
        self._changes = ChangeWatch()
        self._condition: dict[str, _Condition] = {}
        self._events: list[DriverEvent] = []  # for the next reading that succeeds
        self._looked_us: int | None = None
        self._driver_version = ""
        self._mismatch = False
        self._log = self._open_log(kernel_log)

    def read(self) -> NodeReading:
        """Return the reading of the source, with its events and faults. Raises DeviceError as the source does."""
        try:
            reading = self._source.read()
        except DeviceError as error:
            self._note_failure(error)
            raise
        self._mismatch = False
        at_us = self._clock.now_us()
        self._tally.begin_round()
        boards = tuple([self._with_fault(board) for board in reading.boards])
        events = [*self._take_events(), *self._told(reading, at_us)]
        for board in reading.boards:
            events += self._changes.events(board, at_us)
        events.extend(self._look_at_driver(reading, at_us))
        return reading._replace(boards=boards, events=tuple(events), samplers=(*reading.samplers, *self._tally.stats()))

    def close(self) -> None:
        """Release the driver and the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
        self._source.close()

    def _open_log(self, kernel_log: Callable[[], KernelLog] | None) -> KernelLog | None:
        if kernel_log is None:
            return None
        try:
            return kernel_log()
        except DeviceError as error:
            _log.warning("XIDs are heard from the driver only: %s", error)
            self._events.append(DriverEvent("kernel_log_unavailable", "", 0, error.message, "info"))
            return None

    def _take_events(self) -> list[DriverEvent]:
        events, self._events = self._events, []
        return events

    def _told(self, reading: NodeReading, at_us: int) -> list[DriverEvent]:
        """Return what the driver and the kernel told, each XID once."""
        logged: list[XidLine] = []
        if self._log is not None:
            logged = self._tally.run("kernel_log", self._log.read) or []
        others = [event for event in reading.events if event.kind != "xid"]
        xids = [event for event in reading.events if event.kind == "xid"]
        if not xids and not logged:
            return others
        boards = {
            address: board.device.key
            for board in reading.boards
            if (address := pci_address(board.device.pci_bus_id)) is not None
        }
        return [*others, *self._xids.join(xids, logged, boards, at_us)]

    def _with_fault(self, board: BoardReading) -> BoardReading:
        """Return the board with the fault that its condition is, if it answers at all.

        What could not be read this time is as it was last known: a question that failed makes no board available.
        """
        health = board.health
        if health is None:
            return board
        known = self._condition.get(board.device.key)
        if known is None or known.read != health:
            action, failure = health.recovery_action, health.row_remap_failure
            if known is not None:
                action = known.action if action is None else action
                failure = known.failure if failure is None else failure
            standing = health._replace(recovery_action=action, row_remap_failure=failure)
            known = _Condition(health, action, failure, fault_of(standing, self._unavailable_on))
            self._condition[board.device.key] = known
        return board._replace(fault=known.fault) if known.fault and not board.fault else board

    def _look_at_driver(self, reading: NodeReading, at_us: int) -> list[DriverEvent]:
        events = []
        if self._driver_version and reading.driver_version != self._driver_version:
            versions = {"from": self._driver_version, "to": reading.driver_version}
            message = f"driver {versions['from']} -> {versions['to']}"
            events.append(DriverEvent("driver_version_changed", "", 0, message, "info", details=versions))
        self._driver_version = reading.driver_version
        state, looked_us = self._driver_state, self._looked_us
        if state is not None and (looked_us is None or not 0 <= at_us - looked_us < self._slow_every_us):
            self._looked_us = at_us
            events.extend(self._tally.run("driver_state", state.compare, reading.boards) or ())
        return events

    def _note_failure(self, error: DeviceError) -> None:
        """Remember once that library and kernel module differ, for the reading that comes when they agree again."""
        if _LIBRARY_MISMATCH not in error.message or self._mismatch:
            return
        self._mismatch = True
        module = self._driver_state.version() if self._driver_state is not None else ""
        details = {"library": self._driver_version or "unknown", "module": module or "unknown"}
        message = f"the driver's library and its kernel module ({details['module']}) are of different versions"
        event = DriverEvent("driver_version_mismatch", "", 18, message, "error", self._clock.now_us(), details=details)
        self._events.append(event)


def kernel_log_at(path: str) -> Callable[[], KernelLog] | None:
    """Return how to open the kernel's log at `path`; None for an empty path."""
    return (lambda: KernelLog(Path(path))) if path else None

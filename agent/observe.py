"""From what the driver shows to what the meter is given: each device's state, its holders and their activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from agent.devices.base import BoardReading, DriverEvent, NodeReading
from agent.health.throttling import idle_reason
from agent.holders.occupants import Occupants, worked_between
from agent.holders.precedence import NO_GRANTS, DeviceGrants, completed
from agent.holders.resolve import HolderResolver
from agent.holders.standing import Standing
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Snapshot
from gpuledger.model import Device, Event, Holder

STRANDED = "stranded"


class Observation(NamedTuple):
    """A node at one instant, its holders known. `devices` are all devices that are there now, faulty ones too."""

    snapshot: Snapshot
    reading: NodeReading
    devices: dict[str, Device]
    events: list[Event]


class Observer:
    """Turns readings into snapshots; keeps what one reading alone cannot tell (the devices of a board that is lost)."""

    def __init__(
        self,
        resolver: HolderResolver,
        *,
        node: str,
        pool: str = "",
        idle_power_mw: Callable[[str], int] = lambda _model: 0,
        known: Iterable[Device] = (),
        standing: Standing | None = None,
    ) -> None:
        """Observe; `known` are devices that an earlier run of this agent knew, `standing` the grants of the node."""
        self._occupants = Occupants(resolver, self._remember)
        self._standing = standing or Standing()
        self._grants: dict[str, DeviceGrants] = {}
        self._node = node
        self._pool = pool
        self._idle_power_mw = idle_power_mw
        self._floor_mw: dict[str, int] = {}
        self._placed: dict[str, tuple[Device, Device]] = {}  # as read, and with node and pool
        self._instances: dict[str, tuple[Device, ...]] = {}  # of each board with MIG, as last seen
        for device in known:
            if device.board:
                self._instances[device.board] = (*self._instances.get(device.board, ()), device)
        self._previous_us: int | None = None
        self._holders: dict[str, Holder] = {}  # seen since the last `turn_page`
        self._earlier_holders: dict[str, Holder] = {}  # seen on the page before

    def observe(self, reading: NodeReading, at_us: int) -> Observation:
        """Return the observation of a reading made at `at_us`."""
        self._occupants.begin(Interval(at_us if self._previous_us is None else self._previous_us, at_us))
        self._grants, told = self._standing.read(at_us, reading)
        devices: dict[str, Device] = {}
        boards = tuple([self._board(board, reading.epoch, devices) for board in reading.boards])
        self._previous_us = at_us
        if len(self._placed) > len(devices):  # cutting a GPU anew makes new instances, for as long as the agent runs
            self._placed = {key: placed for key, placed in self._placed.items() if key in devices}
        events = [*driver_events(reading.events, at_us), *told, *self._occupants.events]
        return Observation(Snapshot(at_us, boards), reading, devices, events)

    @property
    def holders(self) -> dict[str, Holder]:
        """Return the holders seen on this page and the one before."""
        return {**self._earlier_holders, **self._holders}

    def turn_page(self) -> None:
        """Begin a new page: holders that are not seen on it are forgotten when it ends."""
        self._earlier_holders, self._holders = self._holders, {}

    def _board(self, reading: BoardReading, epoch: str, devices: dict[str, Device]) -> BoardSnapshot:
        board = reading.device
        snapshots: tuple[DeviceSnapshot, ...]
        if reading.fault:
            snapshots = self._faulty(reading, devices)
        elif reading.mig:
            snapshots = self._sliced(reading, devices)
        else:
            self._instances.pop(board.key, None)
            devices[board.key] = self._place(board)
            snapshots = (self._whole(reading),)
        floor_mw = self._floor_mw.get(board.model)
        if floor_mw is None:
            floor_mw = self._floor_mw[board.model] = self._idle_power_mw(board.model)
        return BoardSnapshot(board.key, snapshots, epoch, reading.energy_mj, reading.power_mw, floor_mw)

    def _whole(self, reading: BoardReading) -> DeviceSnapshot:
        device = reading.device
        grants = self._grants.get(device.key, NO_GRANTS)
        ended = (*reading.ended, *worked_between(reading)) if reading.process_seen_us else reading.ended
        reason = idle_reason(reading)
        occupied = self._occupants.find(device.key, reading.processes, grants, ended, idle_reason=reason)
        activity = reading.process_activity_ppm
        by_holder = None if activity is None else self._occupants.work(device.key, activity, grants)
        return DeviceSnapshot(
            device.key,
            device.parts,
            True,
            "",
            occupied.occupants,
            reading.utilization_ppm,
            by_holder,
            "",
            occupied.replicas,
            occupied.passed,
        )

    def _sliced(self, reading: BoardReading, devices: dict[str, Device]) -> tuple[DeviceSnapshot, ...]:
        found: list[DeviceSnapshot] = []
        reason_of_board = idle_reason(reading)
        for instance in reading.instances:
            device = instance.device
            devices[device.key] = self._place(device)
            reason = STRANDED if device.kind == "remainder" else ""
            grants = self._grants.get(device.key, NO_GRANTS)
            occupied = self._occupants.find(device.key, instance.processes, grants, idle_reason=reason_of_board)
            found.append(
                DeviceSnapshot(
                    device.key,
                    device.parts,
                    True,
                    reason,
                    occupied.occupants,
                    instance.utilization_ppm,
                    None,
                    instance.activity_method,
                    occupied.replicas,
                    occupied.passed,
                )
            )
        self._instances[reading.device.key] = tuple(instance.device for instance in reading.instances)
        return tuple(found)

    def _faulty(self, reading: BoardReading, devices: dict[str, Device]) -> tuple[DeviceSnapshot, ...]:
        """Return a lost board's devices as they were last seen: losing a card does not change what it was sold as."""
        instances = tuple(instance.device for instance in reading.instances)
        known = instances or self._instances.get(reading.device.key) or (reading.device,)
        for device in known:
            devices[device.key] = self._place(device)
        return tuple(DeviceSnapshot(device.key, device.parts, False, reading.fault) for device in known)

    def _remember(self, holder: Holder) -> None:
        known = self._holders.get(holder.key)
        if known is None:
            self._standing.note(holder)
            known = self._earlier_holders.get(holder.key, holder)
            self._holders[holder.key] = known
        if known is not holder:
            self._holders[holder.key] = completed(known, holder)

    def _place(self, device: Device) -> Device:
        known = self._placed.get(device.key)
        if known is not None and (known[0] is device or known[0] == device):
            return known[1]
        placed = msgspec.structs.replace(device, node=device.node or self._node, pool=device.pool or self._pool)
        self._placed[device.key] = (device, placed)
        return placed


def driver_events(events: Sequence[DriverEvent], at_us: int) -> list[Event]:
    """Return what the driver reported once, as events of the ledger."""
    return [
        Event(
            min(at_us, event.at_us or at_us),
            event.kind,
            event.message,
            event.severity,
            event.board,
            details=_details(event),
        )
        for event in events
    ]


def _details(event: DriverEvent) -> dict[str, str]:
    details = {event.kind: str(event.code), **(event.details or {})}
    return details if event.pid is None else {**details, "pid": str(event.pid)}

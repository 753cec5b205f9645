"""From what the driver shows to what the meter is given: each device's state, its holders and their activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from agent.devices.base import BoardReading, DriverEvent, NodeReading, ProcessReading
from agent.holders.resolve import HolderResolver
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant, Snapshot
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
    ) -> None:
        """Observe; `known` are the devices that an earlier run of this agent knew."""
        self._resolver = resolver
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
        self._resolver.begin_reading()
        step = Interval(at_us if self._previous_us is None else self._previous_us, at_us)
        devices: dict[str, Device] = {}
        boards = tuple([self._board(board, reading.epoch, step, devices) for board in reading.boards])
        self._previous_us = at_us
        return Observation(Snapshot(at_us, boards), reading, devices, driver_events(reading.events, at_us))

    @property
    def holders(self) -> dict[str, Holder]:
        """Return the holders seen on this page and the one before."""
        return {**self._earlier_holders, **self._holders}

    def turn_page(self) -> None:
        """Begin a new page: holders that are not seen on it are forgotten when it ends."""
        self._earlier_holders, self._holders = self._holders, {}

    def _board(self, reading: BoardReading, epoch: str, step: Interval, devices: dict[str, Device]) -> BoardSnapshot:
        board = reading.device
        snapshots: tuple[DeviceSnapshot, ...]
        if reading.fault:
            snapshots = self._faulty(reading, devices)
        elif reading.mig:
            snapshots = self._sliced(reading, step, devices)
        else:
            self._instances.pop(board.key, None)
            devices[board.key] = self._place(board)
            snapshots = (self._whole(reading, step),)
        floor_mw = self._floor_mw.get(board.model)
        if floor_mw is None:
            floor_mw = self._floor_mw[board.model] = self._idle_power_mw(board.model)
        return BoardSnapshot(board.key, snapshots, epoch, reading.energy_mj, reading.power_mw, floor_mw)

    def _whole(self, reading: BoardReading, step: Interval) -> DeviceSnapshot:
        device = reading.device
        occupants = self._occupants(reading.processes, step) if reading.processes else ()
        activity = reading.process_activity_ppm
        by_holder = self._holder_activity(activity) if activity is not None else None
        return DeviceSnapshot(device.key, device.parts, True, "", occupants, reading.utilization_ppm, by_holder)

    def _sliced(self, reading: BoardReading, step: Interval, devices: dict[str, Device]) -> tuple[DeviceSnapshot, ...]:
        found: list[DeviceSnapshot] = []
        for instance in reading.instances:
            device = instance.device
            devices[device.key] = self._place(device)
            reason = STRANDED if device.kind == "remainder" else ""
            occupants = self._occupants(instance.processes, step)
            found.append(DeviceSnapshot(device.key, device.parts, True, reason, occupants))
        self._instances[reading.device.key] = tuple(instance.device for instance in reading.instances)
        return tuple(found)

    def _faulty(self, reading: BoardReading, devices: dict[str, Device]) -> tuple[DeviceSnapshot, ...]:
        """Return a lost board's devices as they were last seen: losing a card does not change what it was sold as."""
        instances = tuple(instance.device for instance in reading.instances)
        known = instances or self._instances.get(reading.device.key) or (reading.device,)
        for device in known:
            devices[device.key] = self._place(device)
        return tuple(DeviceSnapshot(device.key, device.parts, False, reading.fault) for device in known)

    def _occupants(self, processes: Iterable[ProcessReading], step: Interval) -> tuple[Occupant, ...]:
        """Return the holders behind the processes, each once: memory summed, since the earliest start."""
        found: dict[str, Occupant] = {}
        previous_us, at_us = step
        for process in processes:
            holder, method, start_us, _ = self._resolver.resolve(process.pid)
            self._remember(holder)
            if start_us is not None and not previous_us < start_us <= at_us:
                start_us = None  # it was there before and came to this device meanwhile: when is not known
            occupant = Occupant(holder.key, 1, process.memory_bytes, start_us, method)
            known = found.get(holder.key)
            found[holder.key] = occupant if known is None else _joined(known, occupant)
        return tuple(found.values())

    def _holder_activity(self, activity: dict[int, int]) -> dict[str, int]:
        by_holder: dict[str, int] = {}
        for pid, ppm in activity.items():
            holder = self._resolver.resolve_ended(pid).holder
            self._remember(holder)
            by_holder[holder.key] = by_holder.get(holder.key, 0) + ppm
        return by_holder

    def _remember(self, holder: Holder) -> None:
        known = self._holders.get(holder.key)
        if known is None:
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
        Event(at_us, event.kind, event.message, "warning", event.board, details={event.kind: str(event.code)})
        for event in events
    ]


def completed(known: Holder, other: Holder) -> Holder:
    """Return `known` with what was empty in it filled from another process of the same holder."""
    if known == other:
        return known
    filled = {
        name: getattr(other, name)
        for name in Holder.__struct_fields__
        if getattr(known, name) in ("", None, {}) and getattr(other, name) not in ("", None, {})
    }
    return msgspec.structs.replace(known, **filled) if filled else known


def _joined(a: Occupant, b: Occupant) -> Occupant:
    memory = None if a.memory_bytes is None or b.memory_bytes is None else a.memory_bytes + b.memory_bytes
    starts = (a.since_us, b.since_us)
    since_us = None if None in starts else min(start for start in starts if start is not None)
    return Occupant(a.holder, 1, memory, since_us, a.method)

"""What the page says of devices: one reading's values, each where it belongs, and nothing where nothing was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from agent.devices.base import BoardReading
from agent.metrics import catalogue
from agent.metrics.family import Family, Filled, Sample
from agent.metrics.health import HealthFamilies
from agent.metrics.labels import Blocks, DeviceBlocks, quoted
from agent.observe import Observation
from gpuledger.accounting.snapshot import DeviceSnapshot
from gpuledger.accounting.units import PPM
from gpuledger.model import Device, State


def _per_thousand(value: int | None) -> float | None:
    return None if value is None else value / 1_000


# What a board has once, whatever it is cut into: repeated for each slice it would be summed several times.
BOARD_VALUES: Final[tuple[tuple[Family, Callable[[BoardReading], float | None]], ...]] = (
    (catalogue.POWER, lambda reading: _per_thousand(reading.power_mw)),
    (catalogue.ENERGY, lambda reading: _per_thousand(reading.energy_mj)),
    (catalogue.TEMPERATURE, lambda reading: reading.temperature_c),
)


def state_of(device: DeviceSnapshot) -> State:
    """Return the state that a device is in at the snapshot's instant."""
    if not device.available:
        return State.UNOBSERVED if device.reason == "unreadable" else State.UNAVAILABLE
    if not device.occupants:
        return State.IDLE
    if not any(occupant.granted for occupant in device.occupants):
        return State.UNGRANTED
    activity = device.activity_ppm
    if activity is None and device.holder_activity_ppm is not None:
        activity = sum(device.holder_activity_ppm.values())
    if activity is None and not any(occupant.running for occupant in device.occupants):
        activity = 0  # held by grants alone: there is no process that could work
    if activity is None:
        return State.HELD_UNOBSERVED
    return State.ACTIVE if activity else State.HELD_IDLE


def boards_of(observation: Observation | None) -> Iterator[tuple[BoardReading, tuple[DeviceSnapshot, ...]]]:
    """Yield each board's reading with the devices that it offers."""
    if observation is not None:
        for reading, board in zip(observation.reading.boards, observation.snapshot.boards, strict=True):
            yield reading, board.devices


def device_families(observation: Observation | None, devices: Mapping[str, Device], blocks: Blocks) -> list[Filled]:
    """Return the families of boards and devices, but for who holds them."""
    found: list[list[Sample]] = [[] for _ in BOARD_VALUES]
    info: list[Sample] = []
    active: list[Sample] = []
    sm_active: list[Sample] = []
    used: list[Sample] = []
    total: list[Sample] = []
    states: list[Sample] = []
    health = HealthFamilies()
    for reading, snapshots in boards_of(observation):
        board = blocks.device(reading.device.key, devices.get(reading.device.key, reading.device))
        for samples, (_, value_of) in zip(found, BOARD_VALUES, strict=True):
            _add(samples, board.plain, value_of(reading))
        health.add(board, reading.health)
        memory, multiprocessors = memory_used(reading), _sm_active(reading)
        for snapshot in snapshots:
            device = devices.get(snapshot.device)
            block = blocks.device(snapshot.device, device)
            if device is not None:
                info.append((_place(block, device, reading.minor), 1))
                _add(total, block.plain, device.memory_bytes if device.kind != "remainder" else None)
            _add(active, block.plain, _ratio(snapshot.activity_ppm))
            _add(sm_active, block.plain, _ratio(multiprocessors.get(snapshot.device)))
            _add(used, block.plain, memory.get(snapshot.device))
            current = state_of(snapshot)
            states += [(text, 1 if state is current else 0) for state, text in block.states]
    return [
        (catalogue.DEVICE, info),
        (catalogue.ACTIVE, active),
        (catalogue.SM_ACTIVE, sm_active),
        (catalogue.MEMORY_USED, used),
        (catalogue.MEMORY_TOTAL, total),
        *((family, samples) for (family, _), samples in zip(BOARD_VALUES, found, strict=True)),
        (catalogue.STATE, states),
        *health.families(),
    ]


def memory_used(reading: BoardReading) -> dict[str, int | None]:
    """Return the memory in use of each device of a board."""
    if reading.mig:
        return {instance.device.key: instance.memory_used_bytes for instance in reading.instances}
    return {reading.device.key: reading.memory_used_bytes}


def _sm_active(reading: BoardReading) -> dict[str, int | None]:
    if reading.mig:
        return {instance.device.key: instance.sm_active_ppm for instance in reading.instances}
    return {reading.device.key: reading.sm_active_ppm}


def _add(samples: list[Sample], block: str, value: float | None) -> None:
    if value is not None:
        samples.append((block, value))


def _ratio(ppm: int | None) -> float | None:
    return None if ppm is None else ppm / PPM


def _place(block: DeviceBlocks, device: Device, minor: int | None) -> str:
    index, number = ("" if value is None else str(value) for value in (device.index, minor))
    return f'{{{block.pairs},pci_bus_id={quoted(device.pci_bus_id)},index="{index}",minor="{number}"}}'

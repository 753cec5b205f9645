"""What a scenario plants on purpose, as whoever looks for it must find it: what, who, when, and the cause. Pure.

Waste is a workload that holds devices and does nothing, or a MIG layout that leaves a part of a board over. Faults are
what the driver tells, and time that an agent did not see. Drift is what changes for good. Everything else that a fleet
does is as it should be: whatever is found beyond these is a false alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.devices.simulated.scenario import Fleet, Scenario
from agent.devices.simulated.scenario_file import WasteSpec, nearest
from agent.devices.simulated.scenario_hardware import Board
from gpuledger.accounting.intervals import Interval, overlap_us
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import ConfigError

WASTE: Final = "waste"
FAULT: Final = "fault"
DRIFT: Final = "drift"
HARDWARE: Final = "hardware"
WORK: Final = "workload"
GPU_LOST: Final = "gpu_lost"
AGENT_DOWN: Final = "agent_down"
_OF_WORK: Final = ("active_ratio", "busy_ratio", "power_w", "temperature_c")
_OF_CONDITIONS: Final = (
    ("ecc_corrected", "ecc_corrected"),
    ("ecc_uncorrected", "ecc_uncorrected"),
    ("row_remap_pending", "row_remap_pending"),
    ("row_remap_failure", "row_remap_failure"),
    ("throttle", "throttling"),
)


class Plant(NamedTuple):
    """One planted thing. It is found where each of `causes` was told of one of its devices or holders, in `interval`.

    `metrics` are the figures that a planted change moves. `holders` are the runs behind it, `devices` what it is on.
    """

    kind: str
    name: str
    causes: frozenset[str]
    interval: Interval
    devices: frozenset[str] = frozenset()
    holders: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()


def find_plants(scenario: Scenario, fleet: Fleet) -> list[Plant]:
    """Return what is planted in `fleet`, which was made of `scenario`, before its end.

    Raises ConfigError where planted waste names nothing, or a thing that cannot be wasted so.
    """
    found = [*_waste(scenario, fleet), *_faults(scenario, fleet), *_outages(fleet), *_changes(scenario, fleet)]
    span = Interval(fleet.start_us, fleet.end_us)
    return [plant for plant in found if overlap_us(plant.interval, span)]


def _waste(scenario: Scenario, fleet: Fleet) -> Iterator[Plant]:
    known = {workload.name for workload in scenario.file.workload}
    span = Interval(fleet.start_us, fleet.end_us)
    for spec in scenario.file.waste:
        _check(spec, known, set(scenario.boards))
        if spec.node:
            boards = next((node.boards for node in fleet.nodes if node.name == spec.node), ())
            devices = {f"{board.spec.uuid}/remainder" for board in boards if board.left_over_parts}
            name = f"slices that fit nobody on {spec.node}"
            if devices:
                yield Plant(WASTE, name, frozenset({spec.reason}), span, devices=frozenset(devices))
        elif holders := frozenset(
            tenant.holder for tenant in fleet.tenants if tenant.run.workload.name == spec.workload
        ):
            yield Plant(WASTE, spec.workload, frozenset({spec.reason}), span, holders=holders)


def _check(spec: WasteSpec, workloads: set[str], nodes: set[str]) -> None:
    if (spec.reason == "stranded") != bool(spec.node) or bool(spec.node) == bool(spec.workload):
        raise ConfigError(
            f"planted waste ({spec.reason}) names the wrong thing",
            hint="a node for what is stranded, else a workload",
        )
    for name, known in ((spec.node, nodes), (spec.workload, workloads)):
        if name and name not in known:
            raise ConfigError(f'planted waste: there is no "{name}"', hint=nearest(name, known))


def _faults(scenario: Scenario, fleet: Fleet) -> Iterator[Plant]:
    boards = _boards(fleet)
    for fault in scenario.incidents.faults:
        if board := boards.get((fault.node, fault.board)):
            causes = {f"xid {fault.xid}", *([GPU_LOST] if fault.lost.length_us else [])}
            until_us = max(fault.lost.end_us, fault.at_us + US_PER_MINUTE)
            name = f"XID {fault.xid} on {fault.node}/{fault.board}"
            interval = _later(Interval(fault.at_us, until_us), fleet)
            yield Plant(FAULT, name, frozenset(causes), interval, frozenset({board.spec.uuid}))
    for found, spec in zip(scenario.incidents.impairments, scenario.file.condition, strict=True):
        if board := boards.get((found.node, found.board)):
            causes = {cause for field, cause in _OF_CONDITIONS if getattr(spec, field)}
            causes |= {"recovery_action", found.fault} if spec.recovery_action != "none" else set()
            causes |= {GPU_LOST, found.fault} if found.fault else set()
            name = f"{', '.join(sorted(causes))} on {found.node}/{found.board}"
            yield Plant(FAULT, name, frozenset(causes), _later(found.interval, fleet), frozenset({board.spec.uuid}))


def _outages(fleet: Fleet) -> Iterator[Plant]:
    for node in fleet.nodes:
        devices = frozenset(_devices(node.boards))
        for outage in node.outages:
            yield Plant(FAULT, f"no agent on {node.name}", frozenset({AGENT_DOWN}), outage, devices)


def _changes(scenario: Scenario, fleet: Fleet) -> Iterator[Plant]:
    boards = _boards(fleet)
    for power in fleet.powers:
        name = f"{power.node}/{power.board} for the same work"
        devices = frozenset({boards[power.node, power.board].spec.uuid})
        after = Interval(power.from_us, max(power.from_us, fleet.end_us))
        usual = boards[power.node, power.board].power
        metrics = {"power_w"} if power.power.per_percent_mw != usual.per_percent_mw else set()
        metrics |= {"sm_clock_mhz"} if power.power.clock_percent != usual.clock_percent else set()
        yield Plant(DRIFT, name, frozenset({HARDWARE}), after, devices, metrics=frozenset(metrics))
    before = {workload.name: workload for workload in scenario.file.workload}
    for change in scenario.changes.works:
        was, now = before[change.changed.name], change.changed
        before[now.name] = now
        tenants = [tenant for tenant in fleet.tenants if tenant.run.workload == now]
        if not tenants:
            continue
        metrics = {"memory_bytes"} if was.memory_mib != now.memory_mib else set()
        metrics |= set(_OF_WORK) if was.activity != now.activity else set()
        cause = WORK if was.activity != now.activity else DRIFT  # memory is told as a change, of whatever holds it
        yield Plant(
            DRIFT,
            f"{' and '.join(sorted(metrics & {'memory_bytes', 'active_ratio'}))} of {now.name}",
            frozenset({cause}),
            Interval(fleet.start_us + change.from_us, max(fleet.end_us, fleet.start_us + change.from_us)),
            frozenset(boards[slot.node, slot.board].key(slot.mig) for tenant in tenants for slot in tenant.run.slots),
            frozenset(tenant.holder for tenant in tenants),
            frozenset(metrics),
        )


def _boards(fleet: Fleet) -> dict[tuple[str, int], Board]:
    return {(node.name, board.spec.index): board for node in fleet.nodes for board in node.boards}


def _devices(boards: tuple[Board, ...]) -> Iterator[str]:
    for board in boards:
        yield board.spec.uuid
        yield from (piece.uuid for piece in board.spec.slices)
        yield f"{board.spec.uuid}/remainder"


def _later(interval: Interval, fleet: Fleet) -> Interval:
    return Interval(interval.start_us + fleet.start_us, interval.end_us + fleet.start_us)

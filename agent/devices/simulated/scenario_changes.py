"""What changes in a scenario for good: a board that draws otherwise for the same work, a workload with other work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from agent.devices.simulated.scenario_file import ChangeSpec, ScenarioFile, WorkloadSpec, nearest, parse_time_us
from agent.devices.simulated.scenario_hardware import Board, find_slots
from agent.devices.simulated.scenario_schedule import Run
from agent.devices.simulated.world_power import PowerModel
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import ConfigError


class PowerChange(NamedTuple):
    """From `from_us` on a board draws this."""

    node: str
    board: int
    from_us: int
    power: PowerModel


class WorkChange(NamedTuple):
    """Runs of the workload that start at or after `from_us` do what `changed` says."""

    from_us: int
    changed: WorkloadSpec


class Changes(NamedTuple):
    """All changes of a scenario, in order of their time; times count from its start."""

    powers: tuple[PowerChange, ...]
    works: tuple[WorkChange, ...]

    def applied(self, run: Run) -> Run:
        """Return a run with the work that its workload has when it starts."""
        for change in reversed(self.works):
            if change.changed.name == run.workload.name and change.from_us <= run.interval.start_us:
                return run._replace(workload=change.changed)
        return run


def find_changes(file: ScenarioFile, boards: Mapping[str, tuple[Board, ...]]) -> Changes:
    """Return a scenario's changes.

    Raises ConfigError where one is of nothing or of two things, changes nothing, or begins within a minute.
    """
    whole = {
        name: tuple(board._replace(spec=board.spec._replace(slices=())) for board in of_node)
        for name, of_node in boards.items()
    }
    known = {workload.name: workload for workload in file.workload}
    powers: list[PowerChange] = []
    works: list[WorkChange] = []
    for spec in sorted(file.change, key=lambda change: parse_time_us(change.since, "change")):
        if bool(spec.device) == bool(spec.workload):
            raise ConfigError(f"a change at {spec.since} is of one device or of one workload", hint="name one of them")
        if spec.device:
            powers.append(_power(spec, whole))
        else:
            works.append(_work(spec, known))
            known[spec.workload] = works[-1].changed
    return Changes(tuple(powers), tuple(works))


def _power(spec: ChangeSpec, boards: dict[str, tuple[Board, ...]]) -> PowerChange:
    where = f"change of {spec.device}"
    slots = find_slots(spec.device, boards, where)
    unchanged = spec.power_percent is None and spec.clock_percent is None
    if len(slots) != 1 or unchanged or spec.activity or spec.memory_mib is not None:
        message = f"{where} is no change of the power or clock of one board"
        raise ConfigError(message, hint='give "power_percent", "clock_percent" or both, of one board')
    node, board, _ = slots[0]
    usual = boards[node][board].power
    changed = usual._replace(
        per_percent_mw=usual.per_percent_mw * (spec.power_percent or 100) // 100,
        clock_percent=spec.clock_percent or 100,
    )
    return PowerChange(node, board, _minute_us(spec, where), changed)


def _work(spec: ChangeSpec, known: Mapping[str, WorkloadSpec]) -> WorkChange:
    where = f"change of {spec.workload}"
    if spec.workload not in known:
        raise ConfigError(f"{where}: there is no such workload", hint=nearest(spec.workload, known))
    if spec.power_percent or spec.clock_percent or (spec.activity is None and spec.memory_mib is None):
        raise ConfigError(f"{where} is no change of work", hint='give "activity", "memory_mib" or both')
    now = known[spec.workload]
    changed = msgspec.structs.replace(
        now,
        activity=spec.activity or now.activity,
        memory_mib=now.memory_mib if spec.memory_mib is None else spec.memory_mib,
    )
    return WorkChange(_minute_us(spec, where), changed)


def _minute_us(spec: ChangeSpec, where: str) -> int:
    at_us = parse_time_us(spec.since, where)
    if at_us % US_PER_MINUTE:
        raise ConfigError(f"{where} begins within a minute", hint="leave seconds out")
    return at_us

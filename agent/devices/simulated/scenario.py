"""A scenario put into time: each node as a world, a process table and pod names, with the runs behind them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from agent.devices.simulated.scenario_changes import PowerChange, find_changes
from agent.devices.simulated.scenario_file import (
    NodeSpec,
    ScenarioFile,
    WorkloadSpec,
    nearest,
    parse_time_us,
    read_scenario,
)
from agent.devices.simulated.scenario_hardware import Board, Slot, build_boards
from agent.devices.simulated.scenario_holders import Tenant, build_tenants, check_holder
from agent.devices.simulated.scenario_incidents import Incidents, find_incidents
from agent.devices.simulated.scenario_schedule import Place, find_place, plan_runs, read_times
from agent.devices.simulated.world_activity import Activity
from agent.devices.simulated.world_board import BoardTimeline, Tenancy
from agent.devices.simulated.world_node import NodeWorld
from agent.holders.pods import InMemoryPods
from agent.holders.processes import InMemoryProcesses
from gpuledger.accounting.intervals import Interval, gaps, merge
from gpuledger.accounting.units import US_PER_DAY, US_PER_MINUTE
from gpuledger.errors import ConfigError

_MIB = 1024 * 1024
_THURSDAY = 3  # the weekday of the epoch


class SimulatedNode(NamedTuple):
    """A node of the fleet. In an outage the agent takes its last sample at the start and the next one at the end."""

    name: str
    pool: str
    world: NodeWorld
    processes: InMemoryProcesses
    pods: InMemoryPods
    outages: tuple[Interval, ...]
    boards: tuple[Board, ...]

    def agent_runs(self, within: Interval) -> list[Interval]:
        """Return when the agent runs; it samples at both ends of each."""
        return gaps(self.outages, within)


class Loss(NamedTuple):
    """A board that is gone from its node for a while."""

    node: str
    board: int
    interval: Interval


class Impaired(NamedTuple):
    """A board whose time is unavailable for a while, though it is there."""

    node: str
    board: int
    interval: Interval
    fault: str


class Fleet(NamedTuple):
    """A scenario from `start_us` on; nothing starts at or after `end_us`. All instants in it are absolute but runs'."""

    name: str
    cluster: str
    start_us: int
    end_us: int
    nodes: tuple[SimulatedNode, ...]
    tenants: tuple[Tenant, ...]  # their runs count from the start
    losses: tuple[Loss, ...]
    impaired: tuple[Impaired, ...]
    reloads: tuple[tuple[str, int], ...]
    powers: tuple[PowerChange, ...]
    seed: int

    def node(self, name: str) -> SimulatedNode:
        """Return the node of that name. Raises ConfigError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(f'no node "{name}" in this fleet', hint=nearest(name, [node.name for node in self.nodes]))

    @property
    def first_weekday(self) -> int:
        """Return the weekday of the scenario's first day (Monday: 0)."""
        return weekday(self.start_us)


class Scenario:
    """A checked scenario file, ready to be put into time."""

    def __init__(self, file: ScenarioFile) -> None:
        self.file = file
        self.length_us = parse_time_us(file.length, "length")
        self.boards = {node.name: build_boards(file.cluster, node) for node in file.node}
        self._pools: dict[str, list[str]] = {}
        for node in file.node:
            if node.pool:
                self._pools.setdefault(node.pool, []).append(node.name)
        self._check()
        self.incidents = find_incidents(file, self.boards)
        self.changes = find_changes(file, self.boards)

    def at(
        self, start_us: int, days: float | None = None, *, nodes: int | None = None, seed: int | None = None
    ) -> Fleet:
        """Return the fleet from `start_us` (a whole minute) on for `days`, cut to its first `nodes` nodes.

        Raises ConfigError on a start that is not a whole minute and on a length that is not positive.
        """
        if start_us % US_PER_MINUTE:
            raise ConfigError(f"a scenario starts at a whole minute, not at {start_us} us", hint="round it down")
        if (days is not None and days <= 0) or (nodes is not None and nodes <= 0):
            raise ConfigError("a fleet has at least one node and lasts some time", hint="give positive numbers")
        horizon_us = self.length_us if days is None else round(days * US_PER_DAY)
        seed = self.file.seed if seed is None else seed
        kept = self.file.node[:nodes]
        incidents = self.incidents.of({node.name for node in kept})
        tenants = self._tenants(kept, incidents, start_us, horizon_us, seed)
        return Fleet(
            name=self.file.name,
            cluster=self.file.cluster,
            start_us=start_us,
            end_us=start_us + horizon_us,
            nodes=tuple(self._node(node, incidents, tenants, start_us, seed) for node in kept),
            tenants=tuple(tenants),
            losses=tuple(Loss(loss.node, loss.board, _later(loss.lost, start_us)) for loss in incidents.losses),
            impaired=tuple(
                Impaired(found.node, found.board, _later(found.interval, start_us), found.fault)
                for found in incidents.impairments
                if found.fault
            ),
            reloads=tuple((node, start_us + at_us) for node, at_us in incidents.reloads),
            powers=tuple(
                found._replace(from_us=start_us + found.from_us)
                for found in self.changes.powers
                if found.node in {node.name for node in kept}
            ),
            seed=seed,
        )

    def _check(self) -> None:
        """Raise ConfigError on names that are used twice, or that name nothing, and on times that are none."""
        file = self.file
        _refuse_twice("node", [node.name for node in file.node])
        _refuse_twice("team", [team.name for team in file.team])
        _refuse_twice("workload", [workload.name for workload in file.workload])
        teams = {team.name for team in file.team}
        for workload in file.workload:
            find_place(workload, self.boards, self._pools)
            check_holder(workload)
            read_times(workload)
            if workload.team and workload.team not in teams:
                message = f'workload {workload.name}: no team "{workload.team}"'
                raise ConfigError(message, hint=nearest(workload.team, teams))

    def _tenants(
        self, kept: tuple[NodeSpec, ...], incidents: Incidents, start_us: int, horizon_us: int, seed: int
    ) -> list[Tenant]:
        boards = {node.name: self.boards[node.name] for node in kept}
        places = [(workload, place) for workload in self.file.workload if (place := self._place(workload, boards))]
        runs = plan_runs(places, incidents.cuts, seed, weekday(start_us), horizon_us)
        runs = [self.changes.applied(run) for run in runs]
        numbers = {workload.name: number for number, workload in enumerate(self.file.workload)}
        return build_tenants(runs, {node.name: node for node in kept}, numbers, start_us)

    def _place(self, workload: WorkloadSpec, kept: dict[str, tuple[Board, ...]]) -> Place | None:
        """Return where the workload runs in a fleet cut to `kept`; None where a device of its own is not in it."""
        place = find_place(workload, self.boards, self._pools)
        pool = tuple(slots for slots in place.pool if slots[0].node in kept)
        if any(slot.node not in kept for slot in place.slots) or not (pool or place.slots):
            return None
        return Place(place.slots, pool) if not pool or max(map(len, pool)) >= workload.gpus else None

    def _node(
        self, node: NodeSpec, incidents: Incidents, tenants: list[Tenant], start_us: int, seed: int
    ) -> SimulatedNode:
        boards = self.boards[node.name]
        reloads = [at_us for name, at_us in incidents.reloads if name == node.name]
        timelines = []
        for index, board in enumerate(boards):
            faults = [fault for fault in incidents.faults if (fault.node, fault.board) == (node.name, index)]
            impairments = [found for found in incidents.impairments if (found.node, found.board) == (node.name, index)]
            timelines.append(
                BoardTimeline(
                    board,
                    board_tenancies(tenants, node.name, board, seed, weekday(start_us)),
                    [fault.lost for fault in faults if fault.lost.length_us],
                    reloads,
                    [(fault.at_us, fault.xid) for fault in faults],
                    conditions=[(found.interval, found.condition) for found in impairments],
                    powers=[
                        (found.from_us, found.power)
                        for found in self.changes.powers
                        if (found.node, found.board) == (node.name, index)
                    ],
                )
            )
        here = [tenant for tenant in tenants if any(slot.node == node.name for slot in tenant.pids)]
        outages = merge(_later(outage, start_us) for name, outage in incidents.outages if name == node.name)
        return SimulatedNode(
            node.name,
            node.pool,
            NodeWorld(node.name, tuple(board.spec for board in boards), timelines, start_us, reloads),
            InMemoryProcesses({facts.pid: facts for tenant in here for facts in tenant.facts}),
            InMemoryPods({tenant.pod_uid: tenant.pod for tenant in here if tenant.pod is not None}),
            tuple(outages),
            boards,
        )


def load(name_or_path: str | Path) -> Scenario:
    """Return the scenario of that name (demo, small) or at that path.

    Raises ConfigError on anything in it that is unknown, wrong, or names something that is not there.
    """
    return Scenario(read_scenario(name_or_path))


def board_tenancies(tenants: Iterable[Tenant], node: str, board: Board, seed: int, first_weekday: int) -> list[Tenancy]:
    """Return the processes that are on a board over time."""
    found: list[Tenancy] = []
    for tenant in tenants:
        for slot, pid in tenant.pids.items():
            if (slot.node, slot.board) != (node, board.spec.index):
                continue
            workload = tenant.run.workload
            piece = None if slot.mig is None else board.slice(slot.mig)
            activity = Activity(workload.activity, activity_name(tenant, slot, seed), first_weekday)
            found.append(
                Tenancy(
                    pid,
                    tenant.run.interval,
                    workload.memory_mib * _MIB,
                    activity,
                    piece.gpu_instance if piece else None,
                    piece.slices if piece else 0,
                )
            )
    return found


def activity_name(tenant: Tenant, slot: Slot, seed: int) -> str:
    """Return what the noise of a tenant on one of its devices follows from."""
    ordinal = tenant.run.slots.index(slot)
    return f"{seed}/{tenant.run.workload.name}/{tenant.run.replica}/{ordinal}"


def weekday(at_us: int) -> int:
    """Return the weekday of an instant (Monday: 0), in UTC."""
    return (at_us // US_PER_DAY + _THURSDAY) % 7


def _later(interval: Interval, by_us: int) -> Interval:
    return Interval(interval.start_us + by_us, interval.end_us + by_us)


def _refuse_twice(kind: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigError(f'two entries of {kind} are called "{name}"', hint="names are identities: change one")

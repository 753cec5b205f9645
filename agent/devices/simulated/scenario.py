"""A scenario put into time: each node as a world, a process table and pod names, with the runs behind them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from agent.devices.simulated.scenario_file import (
    FaultSpec,
    NodeSpec,
    ScenarioFile,
    WorkloadSpec,
    nearest,
    parse_time_us,
    read_scenario,
)
from agent.devices.simulated.scenario_hardware import Board, Slot, build_boards, find_slots
from agent.devices.simulated.scenario_holders import Tenant, build_tenants, check_holder
from agent.devices.simulated.scenario_schedule import Cut, Place, find_place, plan_runs
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


class Fleet(NamedTuple):
    """A scenario from `start_us` on; nothing starts at or after `end_us`. All instants in it are absolute but runs'."""

    name: str
    cluster: str
    start_us: int
    end_us: int
    nodes: tuple[SimulatedNode, ...]
    tenants: tuple[Tenant, ...]  # their runs count from the start
    losses: tuple[Loss, ...]
    reloads: tuple[tuple[str, int], ...]
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
        self._boards = {node.name: build_boards(file.cluster, node) for node in file.node}
        self._pools: dict[str, list[str]] = {}
        for node in file.node:
            if node.pool:
                self._pools.setdefault(node.pool, []).append(node.name)
        self._check()

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
        tenants = self._tenants(kept, start_us, horizon_us, seed)
        return Fleet(
            name=self.file.name,
            cluster=self.file.cluster,
            start_us=start_us,
            end_us=start_us + horizon_us,
            nodes=tuple(self._node(node, tenants, start_us, seed) for node in kept),
            tenants=tuple(tenants),
            losses=tuple(
                Loss(cut.node, cut.board, _later(cut.interval, start_us))
                for cut in self._losses()
                if cut.board is not None and cut.node in {node.name for node in kept}
            ),
            reloads=tuple(
                (reload.node, start_us + parse_time_us(reload.at, "reload"))
                for reload in self.file.reload
                if reload.node in {node.name for node in kept}
            ),
            seed=seed,
        )

    def _check(self) -> None:
        """Raise ConfigError on names that are used twice, or that name nothing."""
        file = self.file
        for kind, names in (
            ("node", [node.name for node in file.node]),
            ("team", [team.name for team in file.team]),
            ("workload", [workload.name for workload in file.workload]),
        ):
            _refuse_twice(kind, names)
        teams = {team.name for team in file.team}
        for workload in file.workload:
            find_place(workload, self._boards, self._pools)
            check_holder(workload)
            if workload.team and workload.team not in teams:
                raise ConfigError(
                    f'workload {workload.name}: no team "{workload.team}"', hint=nearest(workload.team, teams)
                )
        for node in (*(reload.node for reload in file.reload), *(outage.node for outage in file.outage)):
            if node not in self._boards:
                raise ConfigError(f'no node "{node}" for an outage or a reload', hint=nearest(node, self._boards))
        self._cuts()
        for outage in file.outage:
            since_us, to_us = parse_time_us(outage.since, "outage"), parse_time_us(outage.to, "outage")
            if since_us % US_PER_MINUTE or to_us % US_PER_MINUTE or since_us >= to_us:
                raise ConfigError(
                    f"outage of {outage.node}: not from one whole minute to a later one", hint="no seconds"
                )
        self._cuts()

    def _refuse_hidden_reset(self, node: str, outage: Interval) -> None:
        """Raise ConfigError where a counter starts again while nobody looks: what it had counted is then unknowable."""
        resets = [cut.interval for cut in self._losses() if cut.node == node]
        resets += [cut.interval for cut in self._cuts() if cut.node == node and cut.board is None]
        for reset in resets:
            if reset.start_us < outage.end_us and outage.start_us <= reset.end_us:
                message = f"{node}: a board is lost, or the driver loaded, during an outage of the agent"
                raise ConfigError(message, hint="move one of them: its energy has no known truth")

    def _tenants(self, kept: tuple[NodeSpec, ...], start_us: int, horizon_us: int, seed: int) -> list[Tenant]:
        boards = {node.name: self._boards[node.name] for node in kept}
        places = [(workload, place) for workload in self.file.workload if (place := self._place(workload, boards))]
        runs = plan_runs(places, self._cuts(), seed, weekday(start_us), horizon_us)
        numbers = {workload.name: number for number, workload in enumerate(self.file.workload)}
        return build_tenants(runs, {node.name: node for node in kept}, numbers, start_us)

    def _place(self, workload: WorkloadSpec, kept: dict[str, tuple[Board, ...]]) -> Place | None:
        """Return where the workload runs in a fleet cut to `kept`; None where a device of its own is not in it."""
        place = find_place(workload, self._boards, self._pools)
        pool = tuple(slots for slots in place.pool if slots[0].node in kept)
        if any(slot.node not in kept for slot in place.slots) or not (pool or place.slots):
            return None
        return Place(place.slots, pool) if not pool or max(map(len, pool)) >= workload.gpus else None

    def _losses(self) -> list[Cut]:
        return [cut for fault in self.file.fault if fault.lost_until for cut in self._fault_cuts(fault)]

    def _cuts(self) -> list[Cut]:
        cuts = [cut for fault in self.file.fault for cut in self._fault_cuts(fault)]
        for reload in self.file.reload:
            at_us = parse_time_us(reload.at, "reload")
            cuts.append(Cut(reload.node, None, Interval(at_us, at_us)))
        return cuts

    def _fault_cuts(self, fault: FaultSpec) -> list[Cut]:
        """Return the cut that a fault makes, if any."""
        where = f"fault on {fault.device}"
        (slot,) = find_slots(fault.device, self._whole_boards(), where)
        at_us = parse_time_us(fault.at, where)
        until_us = parse_time_us(fault.lost_until, where) if fault.lost_until else at_us
        if until_us < at_us or (fault.lost_until and until_us == at_us):
            raise ConfigError(f"{where} ends before it starts", hint='"lost_until" counts from the scenario\'s start')
        return [Cut(slot.node, slot.board, Interval(at_us, until_us))] if fault.lost_until or fault.kills else []

    def _whole_boards(self) -> dict[str, tuple[Board, ...]]:
        """Return the boards as wholes: a fault strikes the card, not a slice."""
        return {
            name: tuple(board._replace(spec=board.spec._replace(slices=())) for board in boards)
            for name, boards in self._boards.items()
        }

    def _node(self, node: NodeSpec, tenants: list[Tenant], start_us: int, seed: int) -> SimulatedNode:
        boards = self._boards[node.name]
        reloads = [parse_time_us(reload.at, "reload") for reload in self.file.reload if reload.node == node.name]
        timelines = [
            BoardTimeline(
                board,
                board_tenancies(tenants, node.name, board, seed, weekday(start_us)),
                [cut.interval for cut in self._losses() if (cut.node, cut.board) == (node.name, index)],
                reloads,
                self._xids(node.name, index),
            )
            for index, board in enumerate(boards)
        ]
        here = [tenant for tenant in tenants if any(slot.node == node.name for slot in tenant.pids)]
        outages = merge(
            _later(Interval(parse_time_us(outage.since, "outage"), parse_time_us(outage.to, "outage")), start_us)
            for outage in self.file.outage
            if outage.node == node.name
        )
        return SimulatedNode(
            node.name,
            node.pool,
            NodeWorld(node.name, tuple(board.spec for board in boards), timelines, start_us, reloads),
            InMemoryProcesses({facts.pid: facts for tenant in here for facts in tenant.facts}),
            InMemoryPods({tenant.pod_uid: tenant.pod for tenant in here if tenant.pod is not None}),
            tuple(outages),
            boards,
        )

    def _xids(self, node: str, index: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for fault in self.file.fault:
            (slot,) = find_slots(fault.device, self._whole_boards(), "fault")
            if (slot.node, slot.board) == (node, index):
                found.append((parse_time_us(fault.at, "fault"), fault.xid))
        return found


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

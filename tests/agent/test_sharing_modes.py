"""Every way to share a GPU, through the real driver code and the meter, against a truth that is written down here.

The scenario says what processes do; the grants say what a scheduler gave to whom. Time is by grants, work by processes,
and both conserve: each device's shares sum to the time that passed, each board's energy to its counter.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.devices.base import NodeReading
from agent.devices.idle_power import IdlePower
from agent.devices.simulated.driver import simulated_source
from agent.devices.simulated.scenario import Fleet, Scenario
from agent.devices.simulated.scenario_file import parse_scenario
from agent.holders.grants import Grant, Granted
from agent.holders.resolve import HolderResolver
from agent.holders.standing import Standing
from agent.loop import AgentLoop, LoopSettings
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import Origin, Sealer
from agent.spool import Spool
from gpuledger import wire
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.clock import VirtualClock
from gpuledger.model import Event, Holder, UsageRecord

START_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
MINUTES = 20
HEAD = """
name = "modes"
cluster = "lab"
length = "20m"

[[node]]
name = "n"
"""


def workload(name: str, on: str, *, start: str = "0m", duration: str = "30m", level: int = 0, **more: str) -> str:
    """Return a workload of the scenario; a level of 0 does no work."""
    activity = f'{{ shape = "steady", level = {level}, jitter = 0 }}' if level else '{ shape = "none" }'
    facts = {"platform": "kubernetes", "namespace": "ml", "container": "main", **more}
    lines = [f'{key} = "{value}"' for key, value in facts.items()]
    return "\n".join([
        "[[workload]]", f'name = "{name}"', 'kind = "batch"', f'on = ["{on}"]', f'start = "{start}"',
        f'duration = "{duration}"', "memory_mib = 1000", f"activity = {activity}", *lines,
    ])  # fmt: skip


class Mode:
    """One node in one mode: what its agent recorded, by device, holder, state and reason."""

    def __init__(self, records: list[UsageRecord], events: list[Event], fleet: Fleet, names: dict[str, str]) -> None:
        self.records = records
        self.events = events
        self.fleet = fleet
        self._names = names

    def rows(self) -> dict[tuple[str, str, str], tuple[float, float | None]]:
        """Return minutes held and worked by (holder, state, reason), "-" for nobody."""
        held: dict[tuple[str, str, str], list[float | None]] = {}
        for record in self.records:
            key = (self._names.get(record.holder or "", record.holder or "-"), record.state.label, record.reason)
            sums = held.setdefault(key, [0.0, 0.0])
            sums[0] = (sums[0] or 0) + record.held_us / US_PER_MINUTE
            known = None not in (sums[1], record.active_us)
            sums[1] = (sums[1] or 0) + (record.active_us or 0) / US_PER_MINUTE if known else None
        return {key: (round(one or 0, 9), None if two is None else round(two, 9)) for key, (one, two) in held.items()}

    def assert_conserves(self) -> None:
        """Each device's time sums to what passed, and all energy to the driver's counters."""
        by_device: dict[str, int] = defaultdict(int)
        for record in self.records:
            by_device[record.device] += record.held_us
        assert set(by_device.values()) == {MINUTES * US_PER_MINUTE}
        node = self.fleet.nodes[0]
        counted = 0
        for index in range(len(node.boards)):
            first, last = (node.world.board_at(index, at, at - 1).energy_mj for at in (START_US, self._end_us()))
            counted += last - first
        assert sum(record.energy_mj or 0 for record in self.records) == counted

    def energy(self, name: str) -> int:
        """Return the energy of one holder."""
        return sum(r.energy_mj or 0 for r in self.records if self._names.get(r.holder or "", "-") == name)

    def _end_us(self) -> int:
        return START_US + MINUTES * US_PER_MINUTE


class Timed:
    """A scheduler whose grants are a function of the minute."""

    name = "given"

    def __init__(self, granted: Callable[[int, NodeReading], Granted]) -> None:
        self._granted = granted

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        return self._granted((at_us - START_US) // US_PER_MINUTE, reading)

    def close(self) -> None:
        pass


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Mode]:
    """Return a function that plays a node of these boards and workloads under these grants."""

    def run(boards: str, workloads: list[str], granted: Callable[..., Granted]) -> Mode:
        text = "\n".join([HEAD, f"boards = [{boards}]", *workloads])
        fleet = Scenario(parse_scenario(text, "modes")).at(START_US)
        node, clock = fleet.nodes[0], VirtualClock(START_US)
        pods = {tenant.run.workload.name: tenant for tenant in fleet.tenants}

        def grants(minute: int, reading: NodeReading) -> Granted:
            return granted(minute, [d for b in reading.boards for d in devices_of(b)], lambda name: pod_of(pods[name]))

        sampling = Sampling(simulated_source(node.world, clock))
        resolver = HolderResolver(node.processes, node.pods, node=node.name)
        observer = Observer(resolver, node=node.name, idle_power_mw=IdlePower().mw, standing=Standing((Timed(grants),)))
        with Spool(tmp_path / "spool") as spool:
            sealer = Sealer(spool, Origin("n", "n", "lab", "test"), seal_interval_us=US_PER_HOUR)
            loop = AgentLoop(sampling, observer, sealer, clock, LoopSettings(US_PER_MINUTE, 3 * US_PER_MINUTE))
            loop.run(threading.Event(), from_us=START_US, until_us=START_US + MINUTES * US_PER_MINUTE)
            assert loop.finish()
            sampling.close()
            record = spool.oldest()
        assert record is not None
        batch = wire.decode(record.frame)
        wire.check(batch, now_us=batch.sealed_at_us)
        names = {tenant.holder: name for name, tenant in pods.items()}
        names |= {pod_of(tenant).key: name for name, tenant in pods.items() if tenant.pod}
        return Mode(list(wire.unpack_usage(batch)), list(batch.events), fleet, names)

    return run


def devices_of(board: Any) -> list[str]:
    return [one.device.key for one in board.instances if one.device.kind == "mig"] or [board.device.key]


def pod_of(tenant: Any) -> Holder:
    """Return the pod of a workload as its kubelet names it."""
    pod = tenant.pod
    [container] = pod.containers
    return Holder(f"pod:{tenant.pod_uid}/{container}", "pod", pod.namespace, pod.pod, tenant.pod_uid, container)


def pod_grant(device: str, holder: Holder, replicas: int = 1) -> Grant:
    return Grant(device, holder, "pod_resources", replicas)


L40S = '{ capture = "l40s" }'


def test_exclusive(play: Callable[..., Mode]) -> None:
    """A pod holds its GPU from its grant on: it pays for the time before its process starts, and after it ended."""
    mode = play(
        L40S,
        [workload("train", "n/0", start="5m", duration="10m", level=60)],
        lambda minute, d, pod: Granted((pod_grant(d[0], pod("train")),) if 2 <= minute < 18 else (), frozenset(d)),
    )
    mode.assert_conserves()
    assert mode.rows() == {
        ("-", "idle", "free"): (4, 0),
        ("train", "held_idle", "never_started"): (3, 0),
        ("train", "active", ""): (10, 6),
        ("train", "held_idle", "no_process"): (3, 0),
    }


def test_time_slicing(play: Callable[..., Mode]) -> None:
    """Of four replicas two are held: half of the time is nobody's; work and its energy go to who worked."""
    mode = play(
        L40S,
        [workload("busy", "n/0", level=40), workload("lazy", "n/0")],
        lambda _, d, pod: Granted(
            (pod_grant(d[0], pod("busy")), pod_grant(d[0], pod("lazy"))), frozenset(d), {d[0]: 4}
        ),
    )
    mode.assert_conserves()
    assert mode.rows() == {
        ("busy", "active", ""): (5, 8),
        ("lazy", "held_idle", "memory_held"): (5, 0),
        ("-", "idle", "free"): (10, 0),
    }
    assert mode.energy("busy") > 2 * mode.energy("lazy") > 0
    assert {r.evidence.split for r in mode.records} == {"shares"}
    assert {r.evidence.activity for r in mode.records if r.holder} == {"process_utilization"}


def test_mps_percentages(play: Callable[..., Mode]) -> None:
    """Two clients with 25 % and 50 % of the threads hold a quarter and a half of the time."""
    mode = play(
        L40S,
        [workload("quarter", "n/0", level=10), workload("half", "n/0", level=30)],
        lambda _, d, pod: Granted(
            (pod_grant(d[0], pod("quarter"), 25), pod_grant(d[0], pod("half"), 50)), frozenset(d), {d[0]: 100}
        ),
    )
    mode.assert_conserves()
    assert mode.rows() == {
        ("quarter", "active", ""): (5, 2),
        ("half", "active", ""): (10, 6),
        ("-", "idle", "free"): (5, 0),
    }


def test_mig(play: Callable[..., Mode]) -> None:
    """Instances are held by themselves, what is left over is stranded, and where nothing ran nothing worked."""
    mode = play(
        '{ capture = "a100-40gb", mig = [{ profile = "3g.20gb", index = 0 }, { profile = "1g.5gb", index = 3 }] }',
        [workload("serve", "n/0/0", level=50)],
        lambda _, d, pod: Granted((pod_grant(d[0], pod("serve")),), frozenset(d)),
    )
    mode.assert_conserves()
    assert mode.rows() == {
        ("serve", "held_unobserved", ""): (20, None),
        ("-", "idle", "free"): (20, 0),
        ("-", "idle", "stranded"): (20, 0),
    }


def test_several_processes_on_a_bare_card(play: Callable[..., Mode]) -> None:
    """Without any scheduler time is split evenly among the users that are there."""
    users = [
        workload("ana", "n/0", level=20, platform="user", user="ana"),
        workload("ben", "n/0", start="10m", level=60, platform="user", user="ben"),
    ]
    mode = play(L40S, users, lambda *_: Granted())
    mode.assert_conserves()
    assert mode.rows() == {("ana", "active", ""): (15, 4), ("ben", "active", ""): (5, 6)}
    assert {r.evidence.split for r in mode.records} == {"whole", "even"}


def test_use_without_a_grant(play: Callable[..., Mode]) -> None:
    """A host process on a pod's GPU shares its time and is flagged once; so is a pod that outstays its grant."""
    thief = workload("thief", "n/0", start="5m", duration="10m", level=30, platform="user", user="erin")
    mode = play(
        L40S,
        [workload("train", "n/0", level=40), thief],
        lambda minute, d, pod: Granted((pod_grant(d[0], pod("train")),) if minute < 10 else (), frozenset(d)),
    )
    mode.assert_conserves()
    assert mode.rows() == {
        ("train", "active", ""): (7.5, 4),
        ("thief", "ungranted", "granted_to_another"): (2.5, 1.5),
        ("thief", "ungranted", "granted_to_nobody"): (2.5, 1.5),
        ("train", "ungranted", "granted_to_nobody"): (7.5, 4),
    }
    flagged = [event for event in mode.events if event.kind == "ungranted_use"]
    assert [(e.at_us - START_US) // US_PER_MINUTE for e in flagged] == [5, 10]

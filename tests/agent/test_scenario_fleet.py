"""Fleets: a scenario put into time gives nodes whose processes, pods and boards belong together."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.devices.simulated.captures import load_capture
from agent.devices.simulated.scenario import Fleet, load
from agent.devices.simulated.scenario_holders import user_id_of
from agent.devices.simulated.world import World
from agent.holders.cgroup import parse_identity
from agent.holders.resolve import HolderResolver
from agent.identity.rulebook import built_in
from agent.identity.vocabulary import ALWAYS_READ
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import ConfigError

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05, a Monday


def small() -> Fleet:
    """Return the small fleet."""
    return load("small").at(MONDAY_US)


def test_every_pid_on_a_board_has_a_holder_that_resolves_to_its_run() -> None:
    """The process table and the pod names of a node lead from each pid to the key, pod, account and user of its run."""
    fleet = small()
    for node in fleet.nodes:
        resolver = HolderResolver(node.processes, node.pods, node=node.name)
        resolver.begin_reading()
        for tenant in fleet.tenants:
            workload = tenant.run.workload
            for slot, pid in tenant.pids.items():
                if slot.node != node.name:
                    continue
                found = resolver.resolve(pid)
                assert found.holder.key == tenant.holder
                assert found.start_us == fleet.start_us + tenant.run.interval.start_us
                assert found.holder.namespace == workload.namespace
                assert found.holder.slurm_account == workload.account
                assert found.holder.container == (workload.container if workload.platform == "kubernetes" else "")
                if workload.platform != "kubernetes":
                    assert (found.holder.user, found.holder.uid) == (workload.user, user_id_of(workload.user))


def test_identities_are_unique_and_stable() -> None:
    """No two runs share a pid on a node or a holder key, and the same scenario gives the same identities again."""
    fleet = load("demo").at(MONDAY_US, 7)
    holders = Counter(tenant.holder for tenant in fleet.tenants if not tenant.holder.startswith("user:"))
    pids = Counter((slot.node, pid) for tenant in fleet.tenants for slot, pid in tenant.pids.items())
    assert max(holders.values()) == 1
    assert max(pids.values()) == 1
    assert load("demo").at(MONDAY_US, 7).tenants == fleet.tenants
    boards = [spec.uuid for node in fleet.nodes for spec in node.world.boards()]
    assert len(set(boards)) == len(boards) == 40


def test_environments_hold_only_what_an_agent_may_read() -> None:
    """Nothing beyond the allow-list is in a simulated environment, so that no test can come to rely on it."""
    fleet = load("demo").at(MONDAY_US, 2)
    for tenant in fleet.tenants:
        for facts in tenant.facts:
            assert set(facts.environ) <= ALWAYS_READ | built_in().keys("env")
            identity = parse_identity(facts.cgroup)
            assert identity.names_tenant or identity.session_uid is not None


def test_a_node_is_a_world() -> None:
    """What the driver is given satisfies its contract: boards in NVML order with captures that exist."""
    for node in small().nodes:
        world: World = node.world
        for index, spec in enumerate(world.boards()):
            assert spec.index == index
            assert load_capture(spec.capture).name


def test_demo_has_what_a_fleet_has() -> None:
    """The demo shows forty GPUs of four models, five teams, sharing, MIG with left-overs, faults and an outage."""
    fleet = load("demo").at(MONDAY_US)
    captures = Counter(spec.capture for node in fleet.nodes for spec in node.world.boards())
    assert captures == {"h100-sxm": 16, "a100-40gb": 8, "l40s": 8, "t4": 8}
    teams = {tenant.run.workload.team for tenant in fleet.tenants}
    assert teams == {"vision", "language", "recommender", "bioinformatics", "platform-research", ""}
    assert {tenant.run.workload.kind for tenant in fleet.tenants} == {"training", "notebook", "inference", "batch"}
    assert {tenant.run.workload.platform for tenant in fleet.tenants} == {"kubernetes", "slurm", "user"}
    cut = [board for node in fleet.nodes for board in node.boards if board.spec.slices]
    assert len(cut) == 2
    assert all(board.left_over_parts > 0 for board in cut)
    assert {spec.index for board in cut for spec in board.spec.slices} != set(range(3))
    outages = [outage for node in fleet.nodes for outage in node.outages]
    assert [outage.length_us for outage in outages] == [6 * US_PER_HOUR + 10 * US_PER_MINUTE]
    assert {fault.xid for fault in load("demo").file.fault} >= {13, 79}


def test_three_days_of_the_demo_already_have_every_incident() -> None:
    """A shorter demo still shows a lost GPU, an application fault and an outage."""
    fleet = load("demo").at(MONDAY_US, 3)
    end_us = fleet.start_us + 3 * US_PER_DAY
    assert any(loss.interval.end_us < end_us for loss in fleet.losses)
    assert any(outage.end_us < end_us for node in fleet.nodes for outage in node.outages)


def test_fewer_nodes_keep_the_first_and_what_runs_there() -> None:
    """A fleet cut to its first nodes has nothing that runs elsewhere, and its nodes are as in the whole fleet."""
    whole, cut = load("demo").at(MONDAY_US, 3), load("demo").at(MONDAY_US, 3, nodes=1)
    assert [node.name for node in cut.nodes] == ["train-1"]
    assert {slot.node for tenant in cut.tenants for slot in tenant.pids} == {"train-1"}
    assert cut.node("train-1").world.boards() == whole.node("train-1").world.boards()
    assert all(loss.node == "train-1" for loss in cut.losses)
    with pytest.raises(ConfigError) as caught:
        cut.node("train-11")
    assert "train-1" in caught.value.hint


def test_seed_changes_the_noise_and_not_the_hardware() -> None:
    """Another seed gives other activity and other starts on the same boards."""
    one, other = load("demo").at(MONDAY_US, 2, seed=1), load("demo").at(MONDAY_US, 2, seed=2)
    at_us = MONDAY_US + US_PER_DAY
    for a, b in zip(one.nodes, other.nodes, strict=True):
        assert a.world.boards() == b.world.boards()
    assert [tenant.run.interval for tenant in one.tenants] != [tenant.run.interval for tenant in other.tenants]
    energies = [fleet.node("serve-1").world.board_at(0, at_us, at_us - 1).energy_mj for fleet in (one, other)]
    assert energies[0] != energies[1]


def test_longer_plans_begin_as_shorter_ones() -> None:
    """What was planned for three days stays as it was when the plan goes on for ten."""
    short, long = load("demo").at(MONDAY_US, 3), load("demo").at(MONDAY_US, 10)
    at_us = MONDAY_US + 3 * US_PER_DAY - 7 * US_PER_MINUTE
    for a, b in zip(short.nodes, long.nodes, strict=True):
        for index in range(len(a.boards)):
            assert a.world.board_at(index, at_us, at_us - 1) == b.world.board_at(index, at_us, at_us - 1)


def test_weekdays_follow_the_calendar() -> None:
    """A workload of weekdays rests at the weekend of the calendar, wherever the scenario starts."""
    for start_us in (MONDAY_US, MONDAY_US + 3 * US_PER_DAY):
        fleet = load("demo").at(start_us, 14)
        starts = [
            fleet.start_us + tenant.run.interval.start_us
            for tenant in fleet.tenants
            if tenant.run.workload.name == "notebook-tomas"
        ]
        assert len(starts) == 10
        assert {(at_us // US_PER_DAY + 3) % 7 for at_us in starts} == {0, 1, 2, 3, 4}


def test_queued_jobs_get_free_boards_of_one_node() -> None:
    """Jobs that ask a pool for GPUs never share a board, and have all of theirs on one node."""
    fleet = load("demo").at(MONDAY_US, 14)
    queued = [tenant.run for tenant in fleet.tenants if tenant.run.workload.pool]
    assert queued
    for run in queued:
        assert len({slot.node for slot in run.slots}) == 1
        assert len(run.slots) == run.workload.gpus
        for other in (tenant.run for tenant in fleet.tenants):
            if other is not run and set(other.slots) & set(run.slots):
                assert other.interval.end_us <= run.interval.start_us or run.interval.end_us <= other.interval.start_us


def test_losing_a_board_ends_its_runs_and_keeps_others_away() -> None:
    """A run on a board that is lost ends with it on all its boards; none starts there until it is back."""
    fleet = load("demo").at(MONDAY_US, 30)
    for loss in fleet.losses:
        hit = [t.run for t in fleet.tenants if any((s.node, s.board) == (loss.node, loss.board) for s in t.pids)]
        lost = Interval(loss.interval.start_us - fleet.start_us, loss.interval.end_us - fleet.start_us)
        assert any(run.interval.end_us == lost.start_us for run in hit)
        assert all(run.interval.end_us <= lost.start_us or run.interval.start_us >= lost.end_us for run in hit)


def test_an_agent_runs_outside_its_outages() -> None:
    """The agent's runs and its outages cover the whole time, and meet at whole minutes."""
    node = small().node("lab-1")
    whole = Interval(MONDAY_US, MONDAY_US + 4 * US_PER_HOUR)
    runs = node.agent_runs(whole)
    assert len(runs) == 2
    assert sum(run.length_us for run in runs) + node.outages[0].length_us == whole.length_us
    assert runs[0].end_us == node.outages[0].start_us
    assert runs[1].start_us == node.outages[0].end_us


def test_starts_off_the_minute_are_refused() -> None:
    """Activity holds for whole minutes, so a scenario starts at one; and a fleet has nodes and lasts some time."""
    with pytest.raises(ConfigError, match="whole minute"):
        load("small").at(MONDAY_US + 1)
    with pytest.raises(ConfigError, match="at least one node"):
        load("small").at(MONDAY_US, 0)
    with pytest.raises(ConfigError, match="at least one node"):
        load("small").at(MONDAY_US, 1, nodes=0)

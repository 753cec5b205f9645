"""Ground truth: it conserves time and energy, and is what adding up every second of the world gives."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices.simulated.scenario import Fleet, Scenario, load
from agent.devices.simulated.scenario_file import parse_scenario
from agent.devices.simulated.truth import Truth, held_share, work_out
from agent.devices.simulated.truth_board import LOOKS_AGAIN_US, UNATTRIBUTED, board_devices
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND
from gpuledger.model import HELD_STATES, State

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
SMALL = load("small").at(MONDAY_US)
DEMO = load("demo").at(MONDAY_US)


@pytest.fixture(scope="module")
def demo_truth() -> Truth:
    """Return the truth of the demo's month."""
    return work_out(DEMO)


def assert_conserves(fleet: Fleet, truth: Truth) -> None:
    """Each device's states sum to the time that passed, and the groups to the whole."""
    length_us = truth.interval.length_us
    by_device: dict[str, int] = defaultdict(int)
    for line in truth.lines:
        by_device[line.device] += line.held_us
    devices = {key for node in fleet.nodes for board in node.boards for key in board_devices(board)}
    assert dict(by_device) == dict.fromkeys(devices, length_us)
    whole = sum(len(node.boards) for node in fleet.nodes) * GPU_PARTS * length_us
    for groups in (truth.by_team_state(), truth.by_state(), truth.by_device()):
        assert sum(sums.held.value for sums in groups.values()) == whole == truth.part_us
        assert sum(sums.energy_mj.value for sums in groups.values()) == sum(line.energy_mj for line in truth.lines)
    held = sum(sums.held.value for state, sums in truth.by_state().items() if state in HELD_STATES)
    assert sum(sums.held.value for sums in truth.by_team().values()) == held


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 239), st.integers(1, 240), st.sampled_from([60, 30, 20, 10]))
def test_every_part_of_the_small_scenario_conserves(first: int, minutes: int, step_s: int) -> None:
    """For any whole minutes, the states of each device sum to them, and groups sum to the whole."""
    start_us = MONDAY_US + first * US_PER_MINUTE
    interval = Interval(start_us, start_us + minutes * US_PER_MINUTE)
    assert_conserves(SMALL, work_out(SMALL, interval, step_us=step_s * US_PER_SECOND))


def test_the_demo_conserves(demo_truth: Truth) -> None:
    """The month of the demo does too."""
    assert_conserves(DEMO, demo_truth)


def test_parts_add_up_to_the_whole() -> None:
    """[a, b) and [b, c) together are [a, c), by team and state, in time and in work."""
    cut_us = MONDAY_US + 97 * US_PER_MINUTE
    whole = work_out(SMALL).by_team_state()
    parts = [
        work_out(SMALL, interval).by_team_state()
        for interval in (Interval(MONDAY_US, cut_us), Interval(cut_us, SMALL.end_us))
    ]
    for group, sums in whole.items():
        found = [part[group] for part in parts if group in part]
        assert sum(part.held.value for part in found) == sums.held.value
        assert sum(part.active.value for part in found) == sums.active.value
        assert abs(sum(part.energy_mj.value for part in found) - sums.energy_mj.value) <= 20


class _Second:
    """What adding up seconds found for one line."""

    def __init__(self) -> None:
        self.held_us = 0.0
        self.active_us = 0
        self.energy_mj = 0.0


def seconds_of(fleet: Fleet) -> dict[tuple[str, str | None, State], _Second]:
    """Return time, work and energy, found by looking at every board in the middle of every second."""
    holders = {
        (slot.node, pid): (tenant.holder, node_key(fleet, slot.node, slot.board, slot.mig))
        for tenant in fleet.tenants
        for slot, pid in tenant.pids.items()
    }
    found: dict[tuple[str, str | None, State], _Second] = defaultdict(_Second)
    for node in fleet.nodes:
        for index, board in enumerate(node.boards):
            parts = board_devices(board)
            for second in range((fleet.end_us - fleet.start_us) // US_PER_SECOND):
                at_us = fleet.start_us + second * US_PER_SECOND + US_PER_SECOND // 2
                state = node.world.board_at(index, at_us, at_us - 1)
                out = any(outage.start_us <= at_us < outage.end_us for outage in node.outages)
                on: dict[str, list[tuple[str, int]]] = {device: [] for device in parts}
                for process in state.processes:
                    holder, device = holders[node.name, process.pid]
                    on[device].append((holder, process.sm_ppm))
                work = sum(ppm for sharers in on.values() for _, ppm in sharers)
                for device, sharers in on.items():
                    share_mj = state.power_mw * parts[device] / GPU_PARTS
                    if out or state.lost or not sharers:
                        nobody = State.UNOBSERVED if out else State.UNAVAILABLE if state.lost else State.IDLE
                        line = found[device, None, nobody]
                        line.held_us += US_PER_SECOND
                        line.energy_mj += share_mj
                        continue
                    for holder, ppm in sharers:
                        sliced = len(parts) > 1
                        busy = State.HELD_UNOBSERVED if sliced else State.ACTIVE if ppm else State.HELD_IDLE
                        line = found[device, holder, busy]
                        line.held_us += US_PER_SECOND / len(sharers)
                        line.active_us += 0 if sliced else ppm
                        floor_mj = min(board.power.idle_mw, state.power_mw) if work and not sliced else share_mj
                        line.energy_mj += floor_mj / len(sharers)
                        if work and not sliced:
                            line.energy_mj += (state.power_mw - floor_mj) * ppm / work
    return found


def node_key(fleet: Fleet, node: str, board: int, mig: int | None) -> str:
    """Return the ledger's key of a device."""
    return fleet.node(node).boards[board].key(mig)


def test_truth_is_the_sum_of_all_seconds() -> None:
    """Worked out from the schedule, it equals what looking at every second of the world adds up to."""
    found = seconds_of(SMALL)
    lines = {(line.device, line.holder, line.state): line for line in work_out(SMALL).lines if line.held_us}
    assert lines.keys() == found.keys()
    for key, line in lines.items():
        assert line.held_us == pytest.approx(found[key].held_us, abs=line.shared_minutes)
        assert (line.active_us or 0) == found[key].active_us
        assert line.energy_mj == pytest.approx(found[key].energy_mj, abs=1 + 2 * line.shared_minutes)


def test_figures_are_exact_but_for_seams() -> None:
    """What begins and ends at samples is exact; what does not is right to within a step for each such instant."""
    sums = work_out(SMALL).by_team_state()
    mystery = sums[UNATTRIBUTED, State.ACTIVE]
    assert mystery.held.exact
    assert mystery.active.exact
    assert mystery.energy_mj.exact
    assert sums["", State.UNOBSERVED].held.exact
    unavailable = sums["", State.UNAVAILABLE].held
    assert unavailable.value == 35 * US_PER_MINUTE * GPU_PARTS
    assert unavailable.within == (US_PER_MINUTE + LOOKS_AGAIN_US) * GPU_PARTS
    finer = work_out(SMALL, step_us=10 * US_PER_SECOND).by_team_state()
    assert finer["language", State.ACTIVE].active.within < sums["language", State.ACTIVE].active.within


def test_held_time_of_a_team_is_its_schedule() -> None:
    """Without faults, outages and sharing, what a team held is the length of its runs on its devices."""
    text = """
name = "plain"
cluster = "lab"
length = "1d"
[[team]]
name = "vision"
[[node]]
name = "n1"
boards = [{ capture = "h100-sxm", count = 4 }]
[[workload]]
name = "train"
team = "vision"
kind = "training"
platform = "kubernetes"
namespace = "vision"
on = ["n1/0-2"]
start = "01:00"
duration = "2h"
every = "8h"
activity = { level = 75, jitter = 0 }
"""
    fleet = Scenario(parse_scenario(text, "plain.toml")).at(MONDAY_US)
    truth = work_out(fleet)
    held_us = 3 * 3 * 2 * US_PER_HOUR
    sums = truth.by_team()["vision"]
    assert (sums.held.value, sums.active.value) == (held_us * GPU_PARTS, held_us * GPU_PARTS * 3 // 4)
    assert sums.gpu_seconds == 3 * 3 * 2 * 3_600
    power = fleet.nodes[0].boards[0].power
    assert sums.energy_mj.value == (power.held_mw + 75 * power.per_percent_mw) * held_us // US_PER_SECOND
    idle = truth.by_state()[State.IDLE]
    assert idle.energy_mj.value == power.idle_mw * (4 * US_PER_DAY - held_us) // US_PER_SECOND
    assert all(figure.exact for group in truth.by_device().values() for figure in group)


def test_truth_wants_whole_minutes() -> None:
    """Activity holds for whole minutes, so truth is told for them, and for steps that divide one."""
    with pytest.raises(ValueError, match="whole minutes"):
        work_out(SMALL, Interval(MONDAY_US, MONDAY_US + 1))
    with pytest.raises(ValueError, match="whole minutes"):
        work_out(SMALL, step_us=7 * US_PER_SECOND)


def test_demo_is_a_plausible_month(demo_truth: Truth) -> None:
    """The demo's figures are those of a real fleet: held most of the time, worked two thirds of that, some of it lost."""
    assert 0.65 <= held_share(demo_truth.lines) <= 0.80
    states = demo_truth.by_state()
    watched = states[State.ACTIVE].held.value + states[State.HELD_IDLE].held.value
    assert 0.60 <= states[State.ACTIVE].active.value / watched <= 0.72
    hours = {state: sums.gpu_seconds / 3_600 for state, sums in states.items()}
    assert sum(hours.values()) == pytest.approx(40 * 720)
    assert 10 <= hours[State.UNAVAILABLE] <= 30
    assert hours[State.UNOBSERVED] == pytest.approx(4 * (6 + 1 / 6))
    assert 2_000 <= hours[State.HELD_IDLE] <= 4_000
    assert 5_000 <= hours[State.IDLE] <= 10_000
    teams = {team: sums.gpu_seconds / 3_600 for team, sums in demo_truth.by_team().items()}
    assert teams.keys() == {"vision", "language", "recommender", "bioinformatics", "platform-research", UNATTRIBUTED}
    assert max(teams, key=teams.__getitem__) == "language"
    assert min(teams, key=teams.__getitem__) == UNATTRIBUTED
    assert all(100 <= hours_ <= 8_000 for hours_ in teams.values())
    kwh = sum(sums.energy_mj.value for sums in states.values()) / 3_600_000_000
    assert 5_000 <= kwh <= 9_000


def test_demo_has_idle_notebooks(demo_truth: Truth) -> None:
    """Some workloads hold a GPU and do next to nothing: that is what the waste report is for."""
    names = {tenant.holder: tenant.run.workload for tenant in DEMO.tenants}
    held: dict[str, int] = defaultdict(int)
    worked: dict[str, int] = defaultdict(int)
    for line in demo_truth.lines:
        if line.holder is not None and line.state is not State.HELD_UNOBSERVED:
            workload = names[line.holder]
            held[workload.name] += line.held_us
            worked[workload.name] += line.active_us or 0
    assert worked["notebook-lena"] / held["notebook-lena"] < 0.1
    assert worked["notebook-yuki"] == 0 < held["notebook-yuki"]
    assert worked["foundation-pretrain"] / held["foundation-pretrain"] > 0.8

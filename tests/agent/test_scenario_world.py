"""Worlds: what a board shows is a function of the instant alone, and its energy counter an exact integral."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices.simulated.scenario import Fleet, load
from agent.devices.simulated.scenario_file import ActivitySpec
from agent.devices.simulated.world_activity import MINUTES_PER_DAY, Activity
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND

START_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
SMALL = load("small")
WITNESS = SMALL.at(START_US)
LONG = load("demo").at(START_US, 10)

instants = st.integers(0, 4 * US_PER_HOUR)
periods = st.sampled_from([US_PER_MINUTE, 10 * US_PER_SECOND, 1, 7 * US_PER_SECOND + 123_457, 11 * US_PER_MINUTE])


def boards(fleet: Fleet) -> list[tuple[str, int]]:
    """Return all boards of a fleet."""
    return [(node.name, index) for node in fleet.nodes for index in range(len(node.boards))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(instants, periods), min_size=1, max_size=6))
def test_any_order_of_asking_gives_the_same_answers(asked: list[tuple[int, int]]) -> None:
    """A fresh world answers as one that was asked many other things before."""
    fresh = SMALL.at(START_US)
    for node, index in boards(WITNESS):
        for offset_us, period_us in asked:
            at_us = START_US + offset_us
            known = WITNESS.node(node).world.board_at(index, at_us, at_us - period_us)
            assert fresh.node(node).world.board_at(index, at_us, at_us - period_us) == known


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10 * US_PER_DAY), min_size=2, max_size=8), st.sampled_from(boards(LONG)))
def test_energy_never_falls_while_the_counter_counts(offsets: list[int], board: tuple[str, int]) -> None:
    """Between two resets the counter only grows, whatever instants are asked for and in whatever order."""
    node, index = board
    world = LONG.node(node).world
    states = {offset_us: world.board_at(index, START_US + offset_us, START_US + offset_us - 1) for offset_us in offsets}
    resets = [loss.interval.end_us - START_US for loss in LONG.losses if (loss.node, loss.board) == board]
    resets += [at_us - START_US for name, at_us in LONG.reloads if name == node]
    for a, b in itertools.pairwise(sorted(offsets)):
        if not (states[a].lost or states[b].lost or any(a < reset <= b for reset in resets)):
            assert states[a].energy_mj <= states[b].energy_mj


@pytest.mark.parametrize(("node", "index"), boards(WITNESS))
def test_energy_is_the_integral_of_power(node: str, index: int) -> None:
    """Second by second, the counter grows by what the board draws in that second, and starts at zero after a reset."""
    world = SMALL.at(START_US).node(node).world
    expected_mj = 0
    epoch = world.epoch(START_US)
    for second in range(4 * 3_600):
        at_us = START_US + second * US_PER_SECOND
        state = world.board_at(index, at_us, at_us - US_PER_SECOND)
        if world.epoch(at_us) != epoch:
            epoch, expected_mj = world.epoch(at_us), 0
        if state.lost:
            expected_mj = 0
            continue
        assert state.energy_mj == expected_mj
        expected_mj += world.board_at(index, at_us + 500_000, at_us + 1).power_mw


def test_a_period_has_the_mean_of_its_parts() -> None:
    """Activity over a period in which much changed is the mean of its seconds, in whole percents."""
    world = SMALL.at(START_US).node("lab-2").world
    for minutes in (5, 60, 141):
        at_us = START_US + minutes * US_PER_MINUTE
        for length_s in (90, 600):
            seconds = [
                world.board_at(1, at_us - second * US_PER_SECOND, at_us - (second + 1) * US_PER_SECOND)
                for second in range(min(length_s, minutes * 60))
            ]
            whole = world.board_at(1, at_us, at_us - len(seconds) * US_PER_SECOND)
            mean = sum(state.utilization_ppm for state in seconds) / len(seconds)
            assert abs(whole.utilization_ppm - mean) <= 5_000
            assert whole.utilization_ppm % 10_000 == 0


def test_processes_that_left_are_told_once() -> None:
    """A process that ended in the period is not on the board any more, but the driver still has its utilisation."""
    fleet = SMALL.at(START_US)
    world = fleet.node("lab-2").world
    (tenant,) = [tenant for tenant in fleet.tenants if tenant.run.workload.name == "smoke-test"]
    (pid,) = tenant.pids.values()
    at_us = START_US + 57 * US_PER_MINUTE
    state = world.board_at(1, at_us, at_us - US_PER_MINUTE)
    assert pid not in {process.pid for process in state.processes}
    assert [process.sm_ppm for process in state.finished if process.pid == pid] == [350_000]  # 60 % of 35 of 60 seconds
    after = world.board_at(1, at_us + US_PER_MINUTE, at_us)
    assert pid not in {process.pid for process in after.finished}


def test_sharers_never_do_more_than_the_board() -> None:
    """The processes of a shared board sum to its utilisation, and never to more than all of it."""
    world = LONG.node("serve-1").world
    shared = busy = 0
    for minute in range(0, 5 * MINUTES_PER_DAY, 7):
        at_us = START_US + (minute + 1) * US_PER_MINUTE
        for index in range(8):
            state = world.board_at(index, at_us, at_us - US_PER_MINUTE)
            work = sum(process.sm_ppm for process in (*state.processes, *state.finished))
            assert work <= 1_000_000
            if not state.finished:
                assert work == state.utilization_ppm
            shared += len(state.processes) > 1
            busy += len(state.processes) > 1 and work == 1_000_000
    assert shared > 1_000
    assert busy > 0


def test_a_lost_board_shows_nothing_and_comes_back_with_its_counter_at_zero() -> None:
    """While it is lost a board has no reading; its XID is told in the period in which it fell; then it counts anew."""
    fleet = SMALL.at(START_US)
    world, (loss,) = fleet.node("lab-1").world, fleet.losses
    fell = world.board_at(0, loss.interval.start_us, loss.interval.start_us - US_PER_MINUTE)
    assert fell.lost
    assert fell.xids == (79,)
    still = world.board_at(0, loss.interval.start_us + US_PER_MINUTE, loss.interval.start_us)
    assert still.lost
    assert still.xids == ()
    back = world.board_at(0, loss.interval.end_us, loss.interval.end_us - US_PER_MINUTE)
    assert not back.lost
    assert (back.energy_mj, back.processes) == (0, ())


def test_a_driver_load_begins_an_epoch_with_counters_at_zero() -> None:
    """Every board of the node counts from zero after its driver was loaded, and other nodes do not notice."""
    fleet = SMALL.at(START_US)
    ((name, at_us),) = fleet.reloads
    world = fleet.node(name).world
    assert world.epoch(at_us - 1) != world.epoch(at_us) == world.epoch(at_us + US_PER_HOUR)
    for index in range(2):
        assert world.board_at(index, at_us - 1, at_us - 2).energy_mj > 0
        assert world.board_at(index, at_us, at_us - 1).energy_mj == 0
    other = fleet.node("lab-1").world
    assert other.epoch(at_us - 1) == other.epoch(at_us)


def test_before_the_start_a_board_is_as_at_the_start() -> None:
    """An agent that reads a little early sees the first state, with nothing used."""
    world = SMALL.at(START_US).node("lab-1").world
    early = world.board_at(0, START_US - US_PER_HOUR, START_US - 2 * US_PER_HOUR)
    assert early == world.board_at(0, START_US, START_US - US_PER_MINUTE)
    assert early.energy_mj == 0


@settings(max_examples=80, deadline=None)
@given(
    st.builds(
        ActivitySpec,
        shape=st.sampled_from(["none", "steady", "diurnal", "bursty"]),
        level=st.integers(0, 100),
        low=st.integers(0, 100),
        jitter=st.integers(0, 100),
        dips=st.integers(0, 100),
        peak_hour=st.integers(0, 23),
        weekend=st.integers(0, 100),
        duty=st.integers(0, 100),
        block_minutes=st.integers(1, 1440),
    ),
    st.integers(0, 400),
)
def test_activity_is_a_day_of_percents(spec: ActivitySpec, day: int) -> None:
    """Whatever the profile, a day has 1440 percents, and is the same when asked for again."""
    percents = Activity(spec, "it", 0).day(day)
    assert len(percents) == MINUTES_PER_DAY
    assert max(percents) <= 100
    assert Activity(spec, "it", 0).day(day) == percents


def test_profiles_look_like_what_they_are() -> None:
    """Steady stays near its level, diurnal peaks at its hour, bursty rests in blocks, none does nothing."""
    steady = Activity(ActivitySpec(shape="steady", level=80, jitter=5), "a", 0).day(1)
    assert (min(steady), max(steady)) == (75, 85)
    diurnal = Activity(ActivitySpec(shape="diurnal", level=90, low=10, peak_hour=15, jitter=2), "a", 0).day(1)
    hourly = [sum(diurnal[hour * 60 : hour * 60 + 60]) for hour in range(24)]
    assert hourly.index(max(hourly)) == 15
    assert hourly.index(min(hourly)) == 3
    bursty = Activity(ActivitySpec(shape="bursty", level=60, jitter=5, duty=40, block_minutes=30), "a", 0).day(1)
    blocks = [bursty[at : at + 30] for at in range(0, MINUTES_PER_DAY, 30)]
    assert all(not any(block) or all(block) for block in blocks)
    assert 5 < sum(any(block) for block in blocks) < 35
    assert not any(Activity(ActivitySpec(shape="none"), "a", 0).day(1))


def test_weekends_are_quieter() -> None:
    """With half a level left at weekends, Saturday does about half of Friday's work."""
    activity = Activity(ActivitySpec(level=80, jitter=0, weekend=50), "a", 4)
    assert sum(activity.day(0)) == 2 * sum(activity.day(1)) == 80 * MINUTES_PER_DAY

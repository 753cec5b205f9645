"""History runs under a clock that jumps, and meets the present without a seam."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from agent.config import SimulationSection
from agent.devices.simulated.scenario import SimulatedNode, load
from agent.replay import ReplayClock, clock_for, instant_us, read_node, runs
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from tests.agent.nodes import MINUTE, T0

HOUR = 60 * MINUTE
FROM = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime(2026, 1, 1, 4, tzinfo=UTC)


def settings(node: str = "lab-1", *, until: datetime | None = UNTIL, live: bool = False) -> SimulationSection:
    return SimulationSection(scenario="small", node=node, from_=FROM, until=until, live=live)


def node_with_outage() -> SimulatedNode:
    return next(node for node in load("small").at(T0).nodes if node.outages)


def test_sleeping_in_the_past_takes_no_time() -> None:
    """The clock stands where it last slept to, and never goes back."""
    clock = ReplayClock(T0, VirtualClock(T0 + HOUR))
    clock.sleep_until(T0 + MINUTE, threading.Event())
    clock.sleep_until(T0, threading.Event())
    assert clock.now_us() == T0 + MINUTE


def test_a_live_clock_becomes_the_wall_clock_when_it_has_caught_up() -> None:
    """Up to the present it jumps; the first sleep into the future, and all after it, are real."""
    wall = VirtualClock(T0 + 150_000_000)
    clock = ReplayClock(T0, wall, live=True)
    for minute in (1, 2):
        clock.sleep_until(T0 + minute * MINUTE, threading.Event())
        assert clock.now_us() == T0 + minute * MINUTE
    assert wall.now_us() == T0 + 150_000_000
    clock.sleep_until(T0 + 3 * MINUTE, threading.Event())
    assert clock.now_us() == wall.now_us() == T0 + 3 * MINUTE
    wall.advance_to(T0 + HOUR)
    assert clock.now_us() == T0 + HOUR


def test_a_clock_that_is_not_live_may_pass_the_present() -> None:
    """A scenario in the future is history all the same."""
    clock = ReplayClock(T0, VirtualClock(T0))
    clock.sleep_until(T0 + HOUR, threading.Event())
    assert clock.now_us() == T0 + HOUR


def test_a_stop_ends_a_sleep_where_it_is() -> None:
    """Told to stop, the clock does not jump on."""
    stop = threading.Event()
    stop.set()
    clock = ReplayClock(T0, VirtualClock(T0), speed=1.0)
    clock.sleep_until(T0 + HOUR, stop)
    assert clock.now_us() == T0


def test_the_agent_runs_between_the_outages_of_its_node() -> None:
    """Each outage splits the history in two; both runs touch it."""
    node = node_with_outage()
    planned = list(runs(node, settings(node.name), None))
    assert planned[0][0] == T0
    assert planned[-1][1] == instant_us(UNTIL)
    assert [(a[1], b[0]) for a, b in pairwise(planned)] == [tuple(o) for o in node.outages]


def test_a_run_continues_at_the_checkpoint() -> None:
    """What was sealed is not run again; nothing is left at the end."""
    node = read_node(settings())
    assert next(runs(node, settings(), T0 + HOUR))[0] == T0 + HOUR
    assert list(runs(node, settings(), instant_us(UNTIL))) == []
    assert clock_for([], settings()).now_us() == instant_us(UNTIL)


def test_an_agent_killed_before_an_outage_ends_resumes_after_it() -> None:
    """A checkpoint at the start of an outage is followed by the first sample at its end."""
    node = node_with_outage()
    outage = node.outages[0]
    assert next(runs(node, settings(node.name), outage.start_us))[0] == outage.end_us


def test_the_last_run_of_a_live_node_has_no_end() -> None:
    """Live, the agent goes on until it is told to stop."""
    node = read_node(settings())
    planned = list(runs(node, settings(until=None, live=True), None))
    assert planned[-1][1] is None
    assert all(until is not None for _, until in planned[:-1])
    assert clock_for(planned, settings(live=True)).now_us() == T0


def test_a_node_that_the_scenario_lacks_is_an_error() -> None:
    """A mistyped node names the nearest one."""
    with pytest.raises(ConfigError, match="lab-9") as raised:
        read_node(settings("lab-9"))
    assert "lab-" in raised.value.hint

"""History under a virtual clock: a scenario's node is sampled as if time had passed, then, if wanted, live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from agent.config import SimulationSection
from agent.devices.simulated.scenario import SimulatedNode, load
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.clock import Clock, WallClock

_FOREVER_US: Final = 3_650 * US_PER_DAY


class ReplayClock:
    """A clock that starts in the past and jumps from sleep to sleep.

    With `live` it becomes the wall clock as soon as a sleep would end in the future; without, it never does. With a
    `speed` it takes its time: that many seconds of history in one second.
    """

    def __init__(self, start_us: int, wall: Clock, *, live: bool = False, speed: float = 0.0) -> None:
        self._now_us = start_us
        self._wall = wall
        self._live = live
        self._speed = speed
        self._caught_up = False

    def now_us(self) -> int:
        """Return the virtual instant, or the present once the clock has caught up with it."""
        return self._wall.now_us() if self._caught_up else self._now_us

    def sleep_until(self, at_us: int, stop: threading.Event) -> None:
        """Jump to `at_us`; wait for it where it lies in the future of a clock that is to go live."""
        if self._live and not self._caught_up and at_us > self._wall.now_us():
            self._caught_up = True
        if self._caught_up:
            self._wall.sleep_until(at_us, stop)
            return
        if self._speed and at_us > self._now_us:
            stop.wait((at_us - self._now_us) / 1_000_000 / self._speed)
        if not stop.is_set():
            self._now_us = max(self._now_us, at_us)


def read_node(settings: SimulationSection) -> SimulatedNode:
    """Return the node that the settings name. Raises ConfigError where the scenario has none of that name."""
    assert settings.from_ is not None  # checked with the settings
    fleet = load(settings.scenario).at(
        instant_us(settings.from_), settings.days, nodes=settings.nodes, seed=settings.seed
    )
    return fleet.node(settings.node)


def runs(node: SimulatedNode, settings: SimulationSection, resume_us: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield when the agent of this node runs, from where it left off: `(from, until)`, the last without end if live."""
    assert settings.from_ is not None
    start_us = instant_us(settings.from_) if resume_us is None else max(resume_us, instant_us(settings.from_))
    if settings.live:
        end_us = start_us + _FOREVER_US
    else:
        end_us = WallClock().now_us() if settings.until is None else instant_us(settings.until)
    for run in node.agent_runs(Interval(start_us, end_us)):
        forever = settings.live and run.end_us == end_us
        yield run.start_us, None if forever else run.end_us


def clock_for(planned: list[tuple[int, int | None]], settings: SimulationSection) -> ReplayClock:
    """Return a clock that stands at the start of the first run (or at the end of history where nothing is left)."""
    if planned:
        start_us = planned[0][0]
    else:
        start_us = WallClock().now_us() if settings.until is None else instant_us(settings.until)
    return ReplayClock(start_us, WallClock(), live=settings.live, speed=settings.speed)


def instant_us(instant: datetime) -> int:
    """Return microseconds since the epoch."""
    return round(instant.timestamp()) * 1_000_000

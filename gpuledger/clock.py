"""Time as a value: a wall clock for production and a virtual one for simulations and tests.

Every instant in this project is an integer count of microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the agent and the collector need of time."""

    def now_us(self) -> int:
        """Return the current instant in microseconds since the epoch, UTC."""
        ...

    def sleep_until(self, at_us: int, stop: threading.Event) -> None:
        """Return at `at_us`, or earlier when `stop` is set."""
        ...


class WallClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return the current instant."""
        return time.time_ns() // 1_000

    def sleep_until(self, at_us: int, stop: threading.Event) -> None:
        """Wait until the wall clock shows `at_us`, or `stop` is set."""
        remaining_us = at_us - self.now_us()
        if remaining_us > 0:
            stop.wait(remaining_us / 1_000_000)


class VirtualClock:
    """A clock that moves only when told to: sleeping jumps to the end of the sleep."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the current virtual instant."""
        return self._now_us

    def advance_to(self, at_us: int) -> None:
        """Move to `at_us`; moving backwards is allowed, to imitate a clock that was set back."""
        self._now_us = at_us

    def sleep_until(self, at_us: int, stop: threading.Event) -> None:
        """Jump to `at_us` at once unless `stop` is set."""
        if not stop.is_set():
            self._now_us = max(self._now_us, at_us)

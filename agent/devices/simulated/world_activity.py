"""How busy a workload is, minute by minute: whole percents that follow from a seed and a day alone.

A day of percents is made at once from a hash of its name, so that any instant can be asked for in any order, before or
after a restart, and always gives the same answer.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Final

from agent.devices.simulated.scenario_file import ActivitySpec

MINUTES_PER_DAY: Final = 1440
_HOURS: Final = 24
_SATURDAY: Final = 5


class Activity:
    """The percents of one process. `name` tells it from all others; `first_weekday` is that of day 0 (Monday: 0)."""

    def __init__(self, spec: ActivitySpec, name: str, first_weekday: int) -> None:
        self._spec = spec
        self._name = name
        self._first_weekday = first_weekday
        self._days: dict[int, bytes] = {}

    def day(self, day: int) -> bytes:
        """Return the percents of the 1440 minutes of scenario day `day`."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) > 1:
                self._days.clear()
            known = self._days[day] = self._make(day)
        return known

    def _make(self, day: int) -> bytes:
        spec = self._spec
        if spec.shape == "none":
            return bytes(MINUTES_PER_DAY)
        weekend = (self._first_weekday + day) % 7 >= _SATURDAY
        noise = hashlib.shake_128(f"{self._name}/{day}".encode()).digest(2 * MINUTES_PER_DAY)
        tables = [_percents(spec, _level(spec, hour, weekend=weekend)) for hour in range(_HOURS)]
        percents = b"".join(noise[hour * 60 : hour * 60 + 60].translate(tables[hour]) for hour in range(_HOURS))
        return _gated(percents, noise[MINUTES_PER_DAY:], spec) if spec.shape == "bursty" else percents


@lru_cache(maxsize=4096)
def _level(spec: ActivitySpec, hour: int, *, weekend: bool) -> int:
    """Return the percent around which the hour's minutes lie."""
    level = spec.level
    if spec.shape == "diurnal":
        swing = (1 + math.cos((hour - spec.peak_hour) * math.tau / _HOURS)) / 2
        level = spec.low + round((spec.level - spec.low) * swing)
    return level * spec.weekend // 100 if weekend else level


@lru_cache(maxsize=4096)
def _percents(spec: ActivitySpec, level: int) -> bytes:
    """Return the percent for each value of a noise byte: first those of dips, then level - jitter .. level + jitter."""
    dips = spec.dips * 256 // 100
    width = 2 * spec.jitter + 1
    working = (level - spec.jitter + (byte - dips) * width // (256 - dips) for byte in range(dips, 256))
    return bytes(dips) + bytes(min(100, max(0, percent)) for percent in working)


def _gated(percents: bytes, noise: bytes, spec: ActivitySpec) -> bytes:
    """Return the percents of the blocks in which it works, zero in the others."""
    size = spec.block_minutes
    blocks = range(0, MINUTES_PER_DAY, size)
    idle = bytes(size)
    return b"".join(
        percents[at : at + size] if noise[number] * 100 < spec.duty * 256 else idle[: MINUTES_PER_DAY - at]
        for number, at in enumerate(blocks)
    )[:MINUTES_PER_DAY]

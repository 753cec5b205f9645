"""How each family of telemetry goes: successes, failures and time, over all boards of a node."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from agent.devices.base import SamplerStats
from gpuledger.errors import DeviceError

Answer = TypeVar("Answer")


class _Family:
    """The running figures of one family."""

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.duration_s = 0.0
        self.last_error = ""
        self.round = -1


class SamplerTally:
    """Counts what families do. A round is one reading of the node: durations are sums over its boards."""

    def __init__(self, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._monotonic = monotonic
        self._families: dict[str, _Family] = {}
        self._round = 0

    def begin_round(self) -> None:
        """Begin a reading of the node."""
        self._round += 1

    def run(self, name: str, read: Callable[..., Answer], *arguments: object) -> Answer | None:
        """Return what `read` returns, counted and timed as a run of the family `name`.

        None where it raised a DeviceError: that is counted, and hides no other family.
        """
        family = self._family(name)
        began = self._monotonic()
        try:
            answer = read(*arguments)
        except DeviceError as error:
            family.failures += 1
            family.last_error = error.message
            return None
        finally:
            family.duration_s += self._monotonic() - began
        family.successes += 1
        return answer

    def stats(self) -> tuple[SamplerStats, ...]:
        """Return the figures of each family that ever ran."""
        return tuple(
            SamplerStats(name, family.successes, family.failures, family.duration_s, family.last_error)
            for name, family in self._families.items()
        )

    def _family(self, name: str) -> _Family:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = _Family()
        if family.round != self._round:
            family.round, family.duration_s = self._round, 0.0
        return family

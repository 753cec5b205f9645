"""Whether each sampler succeeds now, told from how its running figures changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agent.devices.base import SamplerStats


class SamplerState(NamedTuple):
    """A sampler's figures, and whether its last round succeeded on every board."""

    stats: SamplerStats
    succeeds: bool


class Samplers:
    """Every sampler that ever reported."""

    def __init__(self) -> None:
        self._states: dict[str, SamplerState] = {}

    def __iter__(self) -> Iterator[SamplerState]:
        """Yield the samplers in the order in which they appeared."""
        return iter(self._states.values())

    def note(self, reported: Iterable[SamplerStats]) -> None:
        """Take note of figures. A sampler that did not run since keeps its state."""
        for stats in reported:
            state = self._states.get(stats.name)
            if state is None or stats.successes < state.stats.successes or stats.failures < state.stats.failures:
                state = SamplerState(SamplerStats(stats.name), succeeds=False)  # it counts anew, from nothing
            failed = stats.failures > state.stats.failures
            worked = stats.successes > state.stats.successes
            self._states[stats.name] = SamplerState(stats, not failed and (worked or state.succeeds))

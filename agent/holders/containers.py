"""Names and labels of containers that are known by their id: which runtimes are asked, and what they said.

Nothing of this is needed to tell one container from another; it tells people which one it is. A runtime that does not
answer is left alone for a while: sampling does not wait for it.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from agent.identity.facts import ContainerFacts
from gpuledger.errors import HolderError

_PAUSE_S: Final = 30.0
_UNKNOWN_FOR_S: Final = 30.0
_REMEMBERED: Final = 512

_log = logging.getLogger(__name__)


class Containers(Protocol):
    """Where names of containers come from."""

    def find(self, container_id: str) -> ContainerFacts | None:
        """Return the container, or None where it is not known here. Raises HolderError where nobody could be asked."""
        ...


class InMemoryContainers:
    """Containers that are given, for simulations and tests."""

    def __init__(self, containers: Mapping[str, ContainerFacts] | None = None) -> None:
        self._containers = containers or {}

    def find(self, container_id: str) -> ContainerFacts | None:
        """Return the container as given."""
        return self._containers.get(container_id)


class ContainerSource(NamedTuple):
    """One place to ask: `find` may raise HolderError."""

    name: str
    find: Callable[[str], ContainerFacts | None]


class ContainerNames:
    """Asks each source in turn, and remembers what it said; one that fails is not asked again for half a minute."""

    def __init__(self, sources: Sequence[ContainerSource], *, now: Callable[[], float] = time.monotonic) -> None:
        self._sources = tuple(sources)
        self._now = now
        self._known: OrderedDict[str, tuple[float, ContainerFacts | None]] = OrderedDict()
        self._paused: dict[str, float] = {}
        self.failed = 0  # questions that a runtime did not answer

    def find(self, container_id: str) -> ContainerFacts | None:
        """Return the container, or None where no source knows it. Raises HolderError where one could not be asked."""
        now = self._now()
        until, known = self._known.get(container_id, (0.0, None))
        if known is not None or now < until:
            return known
        failure: HolderError | None = None
        for source in self._sources:
            if now < self._paused.get(source.name, 0.0):
                failure = failure or HolderError(f"{source.name} did not answer a moment ago")
                continue
            try:
                found = source.find(container_id)
            except HolderError as error:
                self._pause(source, error, now)
                failure = error
                continue
            if found is not None:
                self._remember(container_id, now, found)
                return found
        if failure is not None:
            raise failure
        self._remember(container_id, now + _UNKNOWN_FOR_S, None)
        return None

    def _pause(self, source: ContainerSource, error: HolderError, now: float) -> None:
        self.failed += 1
        if source.name not in self._paused:
            _log.warning("%s", error)
        self._paused[source.name] = now + _PAUSE_S

    def _remember(self, container_id: str, until: float, found: ContainerFacts | None) -> None:
        self._known[container_id] = (until, found)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

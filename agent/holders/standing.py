"""The grants that stand on a node: every source asked at each reading, and what they disagree about said once."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agent.devices.base import NodeReading
from agent.holders.grants import Granted, GrantSource
from agent.holders.precedence import Conflict, DeviceGrants, rank
from gpuledger.errors import HolderError
from gpuledger.model import Event, Holder

_log = logging.getLogger(__name__)


class Standing:
    """Asks sources, strongest first. One that fails is left out, counted and said once; the others still decide."""

    def __init__(self, sources: Sequence[GrantSource] = ()) -> None:
        self._sources = sources
        self._failing: set[str] = set()
        self._disputed: dict[tuple[str, str, str], bool] = {}  # whether it was said
        self._around_slurm: set[str] = (
            set()
        )  # pods in which jobs of Slurm run: both hold the device, one inside the other
        self.failures: dict[str, int] = dict.fromkeys((source.name for source in sources), 0)

    def read(self, at_us: int, reading: NodeReading) -> tuple[dict[str, DeviceGrants], list[Event]]:
        """Return each device's grants, and events: what sources report, failures, conflicts that last two readings."""
        if not self._sources:
            return {}, []
        answers: list[Granted] = []
        events: list[Event] = []
        for source in self._sources:
            try:
                answer = source.read(at_us, reading)
            except HolderError as error:
                events += self._failed(source.name, error, at_us)
                continue
            self._failing.discard(source.name)
            answers.append(answer)
            events += answer.events
        found, conflicts = rank(answers)
        return found, events + self._dispute(conflicts, at_us)

    def note(self, holder: Holder) -> None:
        """Take note of a holder that a process shows: a Slurm job in a pod tells that slurmd runs there."""
        if holder.kind == "slurm_job" and holder.pod_uid:
            self._around_slurm.add(holder.pod_uid)

    def close(self) -> None:
        """Let go of every source."""
        for source in self._sources:
            source.close()

    def _failed(self, name: str, error: HolderError, at_us: int) -> list[Event]:
        self.failures[name] += 1
        if name in self._failing:
            return []
        self._failing.add(name)
        _log.warning("no grants from %s: %s", name, error)
        message = f"grants of {name} cannot be read: {error.message}"
        return [Event(at_us, "grants_unavailable", message, "warning", details={"source": name})]

    def _dispute(self, conflicts: Sequence[Conflict], at_us: int) -> list[Event]:
        """Return an event for each conflict that stood at the reading before: sources learn at different moments."""
        events = []
        now: dict[tuple[str, str, str], bool] = {}
        for conflict in conflicts:
            if self._is_nested(conflict):
                continue
            key = (conflict.device, conflict.believed.holder.key, conflict.other.holder.key)
            said = self._disputed.get(key)
            now[key] = said is not None
            if said is False:
                events.append(_conflict_event(conflict, at_us))
        self._disputed = now
        return events

    def _is_nested(self, conflict: Conflict) -> bool:
        kinds = (conflict.believed.holder.kind, conflict.other.holder.kind)
        return kinds == ("slurm_job", "pod") and conflict.other.holder.pod_uid in self._around_slurm


def _conflict_event(conflict: Conflict, at_us: int) -> Event:
    believed, other = conflict.believed, conflict.other
    message = f"{other.method} gives the device to {other.holder.key}, {believed.method} to {believed.holder.key}"
    details = {"believed": believed.holder.key, "by": believed.method, "other": other.holder.key, "from": other.method}
    return Event(at_us, "holder_conflict", message, "warning", conflict.device, believed.holder.key, details)

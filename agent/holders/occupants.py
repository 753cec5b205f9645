"""The occupants of each device from reading to reading: processes and grants put together, arrivals and departures.

What one reading alone cannot tell is remembered from the one before: whether a grant is new, whether its holder ever
had a process, whether an ungranted use was reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from agent.devices.base import BoardReading, EndedProcess, ProcessReading
from agent.holders.grants import Grant
from agent.holders.precedence import (
    NO_GRANTS,
    DeviceGrants,
    Place,
    Present,
    covers,
    holder_under,
    join,
    occupy,
    trust,
)
from agent.holders.resolve import BY_MACHINE, HolderResolver
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.snapshot import Occupant
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.model import Event, Holder

NEVER_STARTED: Final = "never_started"
NO_PROCESS: Final = "no_process"
MPS_SERVER: Final = "mps_server"
LONGEST_SAMPLE_US: Final = US_PER_SECOND  # of the driver's utilisation: a sample's time stamp is its end


class Occupied(NamedTuple):
    """Who is on a device now, who has left it since the previous reading, and into how many grants it is shared out."""

    occupants: tuple[Occupant, ...]
    replicas: int | None = None
    passed: tuple[Occupant, ...] = ()


NOBODY: Final = Occupied(())


class _Memory:
    """What was known of the devices at one reading."""

    def __init__(self) -> None:
        self.grants: dict[str, tuple[Grant, ...]] = {}  # by device
        self.keys: dict[tuple[str, str], tuple[str, ...]] = {}  # occupants by device and grant
        self.present: dict[str, tuple[Occupant, ...]] = {}  # occupants by device
        self.started: set[tuple[str, str]] = set()  # grants whose holder has had a process there
        self.ungranted: set[tuple[str, str]] = set()  # device and holder


class Occupants:
    """Finds occupants. `remember` is told of every holder that is named."""

    def __init__(self, resolver: HolderResolver, remember: Callable[[Holder], None]) -> None:
        self._resolver = resolver
        self._remember = remember
        self._step = Interval(0, 0)
        self._before, self._now = _Memory(), _Memory()
        self.events: list[Event] = []  # of the present reading

    def begin(self, step: Interval) -> None:
        """Start a reading made at the end of `step`."""
        self._resolver.begin_reading()
        self._step = step
        self._before, self._now = self._now, _Memory()
        self.events = []

    def find(
        self,
        device: str,
        processes: Sequence[ProcessReading],
        grants: DeviceGrants,
        ended: Sequence[EndedProcess] = (),
        *,
        idle_reason: str = "",
    ) -> Occupied:
        """Return who is on a device, by its processes and its grants; `idle_reason`: why a process would not work."""
        if not processes and grants is NO_GRANTS and not ended:
            return NOBODY
        present = self._present(processes)
        if grants is NO_GRANTS:  # most nodes, most of the time
            occupants = tuple([self._unscheduled(one, idle_reason) for one in present])
            self._now.present[device] = occupants
            return Occupied(occupants, None, self._ended(device, ended, grants))
        occupancy = occupy(grants, present)
        occupants = tuple([self._occupant(device, place, idle_reason) for place in occupancy.places])
        self._now.present[device] = occupants
        self._now.grants[device] = grants.grants
        scale = (occupancy.replicas or 1) // (grants.replicas or 1)
        passed = (*self._departed(device, grants.ended), *self._ended(device, ended, grants))
        passed = tuple([one._replace(weight=one.weight * scale) for one in passed])
        return Occupied(occupants, occupancy.replicas, passed)

    def work(self, device: str, activity_ppm: Mapping[int, int], grants: DeviceGrants) -> dict[str, int]:
        """Return the work of processes in the step, by the occupant of its start that they belong to."""
        by_holder: dict[str, int] = {}
        for pid, ppm in activity_ppm.items():
            holder = holder_under(grants, self._resolver.resolve_ended(pid).holder)
            key = self._key_before(device, holder)
            if key == holder.key:
                self._remember(holder)
            by_holder[key] = by_holder.get(key, 0) + ppm
        return by_holder

    def _key_before(self, device: str, holder: Holder) -> str:
        """Return as whom a holder was there at the start of the step: its grant may have come or gone since."""
        grants = self._before.grants.get(device)
        if grants and all(occupant.holder != holder.key for occupant in self._before.present[device]):
            for grant in grants:
                if covers(grant.holder, holder):
                    return self._before.keys[device, grant.holder.key][0]
        return holder.key

    def _present(self, processes: Iterable[ProcessReading]) -> list[Present]:
        """Return the holders behind the processes, each once: memory summed, since the earliest start."""
        previous_us, at_us = self._step
        found: dict[str, Present] = {}
        for process in processes:
            if process.kind == MPS_SERVER:
                continue  # it works for its clients, who are listed themselves
            holder, method, start_us, _ = self._resolver.resolve(process.pid)
            if method == BY_MACHINE:
                continue
            if start_us is not None and not previous_us < start_us <= at_us:
                start_us = None  # it was there before and came to this device meanwhile: when is not known
            seen = Present(holder, method, process.memory_bytes, start_us)
            known = found.get(holder.key)
            found[holder.key] = seen if known is None else join(known, seen)
        return [*found.values()]

    def _unscheduled(self, present: Present, idle_reason: str) -> Occupant:
        self._remember(present.holder)
        return Occupant(
            present.holder.key, 1, present.memory_bytes, present.since_us, present.method, reason=idle_reason
        )

    def _occupant(self, device: str, place: Place, idle_reason: str) -> Occupant:
        holder, grant, present, weight, refusal = place
        self._remember(holder)
        if refusal:
            self._report(device, place)
        if grant is None:
            assert present is not None  # an occupant has a grant or a process
            seen = self._unscheduled(present, refusal or idle_reason)
            return seen._replace(weight=weight, granted=not refusal)
        key = (device, grant.holder.key)
        started = present is not None or key in self._before.started
        if started:
            self._now.started.add(key)
        self._now.keys[key] = (*self._now.keys.get(key, ()), holder.key)
        return Occupant(
            holder.key,
            weight,
            present.memory_bytes if present else None,
            self._since(key, grant, present),
            grant.method,
            running=present is not None,
            reason=idle_reason if present else NO_PROCESS if started else NEVER_STARTED,
            confidence=trust(place),
        )

    def _since(self, key: tuple[str, str], grant: Grant, present: Present | None) -> int | None:
        """Return when a holder arrived, if that lies in the step: by its grant, else by its first process."""
        if key in self._before.keys:
            return None
        if grant.since_us is not None:
            return grant.since_us if self._step.start_us < grant.since_us <= self._step.end_us else None
        return present.since_us if present else None

    def _departed(self, device: str, ended: Iterable[Grant]) -> Iterable[Occupant]:
        """Yield who held by a grant that has ended: whom the reading before saw, or one that came and left since."""
        for grant in ended:
            if grant.until_us is None or grant.until_us <= self._step.start_us:
                continue
            known = self._before.keys.get((device, grant.holder.key))
            if known is None:
                self._remember(grant.holder)
                yield Occupant(
                    grant.holder.key,
                    grant.replicas,
                    None,
                    grant.since_us,
                    grant.method,
                    grant.until_us,
                    confidence=grant.confidence,
                )
            for key in known or ():
                yield Occupant(key, until_us=grant.until_us)

    def _ended(self, device: str, ended: Sequence[EndedProcess], grants: DeviceGrants) -> tuple[Occupant, ...]:
        """Return who had a process that came and left since the reading before, and no grant that covers it."""
        if not ended:
            return ()
        found: list[Occupant] = []
        told = {one.holder for memory in (self._before, self._now) for one in memory.present.get(device, ())}
        for process in ended:
            holder, method, _, _ = self._resolver.resolve_ended(process.pid, process.end_us)
            if method == BY_MACHINE or holder.key in told:
                continue
            seen = Present(holder, method, None, None)
            place = next(one for one in occupy(grants, [seen]).places if one.present)
            if place.grant is not None:
                continue
            told.add(holder.key)
            self._remember(holder)
            one = Occupant(holder.key, 1, process.memory_max_bytes, process.start_us, method, process.end_us)
            found.append(one._replace(granted=not place.refusal, reason=place.refusal))
            if place.refusal:
                self._report(device, place)
        return tuple(found)

    def _report(self, device: str, place: Place) -> None:
        key = (device, place.holder.key)
        self._now.ungranted.add(key)
        if key not in self._before.ungranted:
            message = f"{place.holder.key} uses a device that was {place.refusal.replace('_', ' ')}"
            details = {"reason": place.refusal}
            self.events.append(
                Event(self._step.end_us, "ungranted_use", message, "warning", device, place.holder.key, details)
            )


def worked_between(reading: BoardReading) -> Iterator[EndedProcess]:
    """Yield processes that no list shows and that the driver saw at work since the previous reading.

    Its utilisation samples say when each period of work ended, not when it began: taken is the longest there is.
    """
    if reading.process_seen_us:
        listed = {process.pid for process in reading.processes}
        for pid, (first_us, last_us) in reading.process_seen_us.items():
            if pid not in listed:
                yield EndedProcess(pid, first_us - LONGEST_SAMPLE_US, last_us)

"""When each workload runs, and on which devices: the runs of a scenario, in microseconds from its start."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agent.devices.simulated.scenario_file import WEEKDAYS, WorkloadSpec, nearest, parse_time_us
from agent.devices.simulated.scenario_hardware import Board, Slot, find_slots
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_DAY, US_PER_SECOND
from gpuledger.errors import ConfigError


class Run(NamedTuple):
    """One tenancy: a replica of a workload on its devices for one interval."""

    workload: WorkloadSpec
    number: int
    replica: int
    interval: Interval
    slots: tuple[Slot, ...]

    @property
    def name(self) -> str:
        """Return what tells this run from all others of the scenario."""
        return f"{self.workload.name}/{self.number}/{self.replica}"


class Cut(NamedTuple):
    """What ends the runs on a board (None: on every board of the node), and until when none may start there."""

    node: str
    board: int | None
    interval: Interval


class Place(NamedTuple):
    """Where a workload may run: named devices, or the boards without MIG of the pool's nodes, node by node."""

    slots: tuple[Slot, ...]
    pool: tuple[tuple[Slot, ...], ...] = ()


def plan_runs(
    places: Iterable[tuple[WorkloadSpec, Place]], cuts: list[Cut], seed: int, first_weekday: int, horizon_us: int
) -> list[Run]:
    """Return the runs that start before `horizon_us`, sorted by start.

    Workloads with named devices get them, shared where they overlap; the others queue for free boards of one node, the
    first that fits, in order of their planned start. Cuts end what they meet.
    """
    named: list[Run] = []
    queued: list[tuple[Run, Place]] = []
    for workload, place in places:
        for number, interval in _intervals(workload, seed, first_weekday, horizon_us):
            for replica in range(workload.replicas):
                if place.pool:
                    queued.append((Run(workload, number, replica, interval, ()), place))
                else:
                    named.append(Run(workload, number, replica, interval, _share(workload, place.slots, replica)))
    busy: dict[Slot, list[Interval]] = defaultdict(list)
    for run in named:
        _occupy(busy, run.slots, run.interval)
    for cut in cuts:
        if cut.board is not None:
            insort(busy[Slot(cut.node, cut.board)], cut.interval)
    queued.sort(key=lambda entry: (entry[0].interval.start_us, entry[0].name))
    placed = [_queue(run, place, busy, horizon_us) for run, place in queued]
    runs = [run for run in (*named, *filter(None, placed)) if run.interval.start_us < horizon_us]
    return sorted(filter(None, (_cut(run, cuts) for run in runs)), key=lambda run: (run.interval, run.name))


def find_place(workload: WorkloadSpec, boards: dict[str, tuple[Board, ...]], pools: Mapping[str, list[str]]) -> Place:
    """Return where a workload may run. Raises ConfigError where it names nothing, or something that is not there."""
    where = f"workload {workload.name}"
    if bool(workload.on) == bool(workload.pool):
        raise ConfigError(f"{where} names both devices and a pool, or neither", hint='give either "on" or "pool"')
    if workload.on:
        slots = tuple(slot for text in workload.on for slot in find_slots(text, boards, where))
        if workload.gpus > len(slots):
            raise ConfigError(f"{where} wants {workload.gpus} of {len(slots)} devices", hint='lower "gpus"')
        return Place(slots)
    if workload.pool not in pools:
        raise ConfigError(f'{where}: no node is in pool "{workload.pool}"', hint=nearest(workload.pool, pools))
    whole = tuple(
        tuple(Slot(node, index) for index, board in enumerate(boards[node]) if not board.spec.slices)
        for node in pools[workload.pool]
    )
    if not 0 < workload.gpus <= max(len(slots) for slots in whole):
        raise ConfigError(f"{where}: no node of {workload.pool} has {workload.gpus} boards", hint='set "gpus"')
    return Place((), whole)


class Times(NamedTuple):
    """A workload's times; 0 where it has none."""

    start_us: int
    duration_us: int
    every_us: int
    until_us: int
    vary_start_us: int
    vary_duration_us: int


def read_times(workload: WorkloadSpec) -> Times:
    """Return a workload's times. Raises ConfigError on text that is no time, and on a duration of nothing."""
    where = f"workload {workload.name}"
    times = Times(
        *(
            parse_time_us(text or "0s", where)
            for text in (
                workload.start,
                workload.duration,
                workload.every,
                workload.until,
                workload.vary_start,
                workload.vary_duration,
            )
        )
    )
    if times.duration_us <= 0:
        raise ConfigError(f"{where} lasts no time", hint='set "duration"')
    return times


def vary_us(bound_us: int, *names: object) -> int:
    """Return a whole number of seconds below or at `bound_us` that follows from the names."""
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (bound_us // US_PER_SECOND + 1) * US_PER_SECOND


def _intervals(
    workload: WorkloadSpec, seed: int, first_weekday: int, horizon_us: int
) -> Iterator[tuple[int, Interval]]:
    at_us, duration_us, every_us, until_us, vary_start_us, vary_duration_us = read_times(workload)
    end_us = min(horizon_us, until_us or horizon_us)
    number = 0
    while at_us < end_us:
        if WEEKDAYS[(first_weekday + at_us // US_PER_DAY) % 7] in workload.weekdays:
            start_us = at_us + vary_us(vary_start_us, seed, workload.name, number, "start")
            lasts_us = duration_us + vary_us(vary_duration_us, seed, workload.name, number, "duration")
            yield number, Interval(start_us, start_us + lasts_us)
        number += 1
        if not every_us:
            return
        at_us += every_us


def _share(workload: WorkloadSpec, slots: tuple[Slot, ...], replica: int) -> tuple[Slot, ...]:
    """Return the devices of one replica: all of them, or the next `gpus` in turn."""
    count = workload.gpus or len(slots)
    return tuple(slots[(replica * count + offset) % len(slots)] for offset in range(count))


def _queue(run: Run, place: Place, busy: dict[Slot, list[Interval]], horizon_us: int) -> Run | None:
    """Return the run on the first node, at the first instant, where enough boards stay free; None: not in time."""
    start_us, length_us = run.interval.start_us, run.interval.length_us
    boards = [slot for slots in place.pool for slot in slots]
    ends = {taken.end_us for slot in boards for taken in busy[slot] if start_us < taken.end_us < horizon_us}
    for at_us in (start_us, *sorted(ends)):
        interval = Interval(at_us, at_us + length_us)
        for slots in place.pool:
            free = [slot for slot in slots if _is_free(busy[slot], interval)]
            if len(free) >= run.workload.gpus:
                taken_slots = tuple(free[: run.workload.gpus])
                _occupy(busy, taken_slots, interval)
                return run._replace(interval=interval, slots=taken_slots)
    return None


def _is_free(taken: list[Interval], interval: Interval) -> bool:
    return all(other.end_us <= interval.start_us or other.start_us >= interval.end_us for other in taken)


def _occupy(busy: dict[Slot, list[Interval]], slots: Iterable[Slot], interval: Interval) -> None:
    for slot in slots:
        insort(busy[slot], interval)


def _cut(run: Run, cuts: list[Cut]) -> Run | None:
    """Return the run as the cuts leave it: ended by the first that meets it; None where it could not start."""
    for cut in sorted(cuts, key=lambda cut: cut.interval):
        if not any(slot.node == cut.node and cut.board in (None, slot.board) for slot in run.slots):
            continue
        start_us, end_us = run.interval
        if cut.interval.start_us <= start_us < cut.interval.end_us:
            return None
        if start_us < cut.interval.start_us < end_us:
            return run._replace(interval=Interval(start_us, cut.interval.start_us))
    return run

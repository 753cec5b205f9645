"""One simulated board over time: who is on it, how busy it is, and the exact energy that it has used.

Everything is a function of the instant: caches hold what was worked out, never what happened. Instants here are
microseconds from the scenario's start; activity holds for a whole minute, power for a minute or less.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from agent.devices.simulated.scenario_hardware import Board
from agent.devices.simulated.world import BoardState, Condition, EndedState, ProcessState
from agent.devices.simulated.world_activity import MINUTES_PER_DAY, Activity
from agent.devices.simulated.world_power import PowerModel
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import US_PER_DAY, US_PER_MINUTE, US_PER_SECOND

_PPM_PER_PERCENT: Final = 10_000
_LOST: Final = BoardState(lost=True)
_CONDITION_CHANGED: Final = 0x8000  # nvmlEventTypeGpuRecoveryAction
_FOREVER_US: Final = 1 << 62


class Tenancy(NamedTuple):
    """A process on the board (or on the instance `gpu_instance`, of `slices` compute slices) for one interval."""

    pid: int
    interval: Interval
    memory_bytes: int
    activity: Activity
    gpu_instance: int | None = None
    slices: int = 0


class _Shown(NamedTuple):
    """What a board shows at certain percents of its processes."""

    percent: int
    power_mw: int
    processes: tuple[ProcessState, ...]


class Segment(NamedTuple):
    """A stretch of time in which nobody comes or goes. `counts_from_us` is when the energy counter last was zero."""

    interval: Interval
    tenancies: tuple[Tenancy, ...]
    lost: bool
    counts_from_us: int
    memory_bytes: int  # of all processes
    shown: dict[tuple[int, ...], _Shown]  # by percents: few are different
    power: PowerModel


class _Day(NamedTuple):
    """One day of a board: the energy used since the scenario's start, in mW x us, at each minute's start."""

    number: int
    used: array[int]


class BoardTimeline:
    """A board's states. `losses` and `resets` (driver loads) are where its counter starts again.

    `conditions` are what it says about itself meanwhile; their beginnings and ends are events of the driver. `powers`
    are the instants from which it draws otherwise than a board of its kind does.
    """

    def __init__(
        self,
        board: Board,
        tenancies: Iterable[Tenancy],
        losses: Iterable[Interval] = (),
        resets: Iterable[int] = (),
        xids: Iterable[tuple[int, int]] = (),
        *,
        conditions: Iterable[tuple[Interval, Condition]] = (),
        powers: Iterable[tuple[int, PowerModel]] = (),
    ) -> None:
        self._mig_slices = board.mig_slices
        self._segments = build_segments(
            list(tenancies), sorted(losses), sorted(resets), [(0, board.power), *sorted(powers)]
        )
        self._starts = [segment.interval.start_us for segment in self._segments]
        self._xids = sorted(xids)
        self._conditions = sorted(conditions, key=lambda found: found[0])
        self._accounting = board.spec.accounting
        self._used_before: list[int] = [0]  # energy at the start of each day that was asked for
        self._days: dict[int, _Day] = {}
        self._segment = self._segments[0]
        self._origins: dict[int, int] = {}  # energy at each instant at which the counter was zero
        self._origin = 0
        self._day = self._build_day(0)

    def state_at(self, at_us: int, previous_us: int) -> BoardState:
        """Return the board's state at `at_us`; activity, xids and finished are those of `(previous_us, at_us]`."""
        state = self._state_at(at_us, previous_us)
        if self._segment.power.clock_percent != state.clock_percent:
            state = state._replace(clock_percent=self._segment.power.clock_percent)
        return self._impaired(state, at_us, previous_us) if self._conditions else state

    def _impaired(self, state: BoardState, at_us: int, previous_us: int) -> BoardState:
        current = [
            condition for interval, condition in self._conditions if interval.start_us <= at_us < interval.end_us
        ]
        changed = any(previous_us < edge_us <= at_us for interval, _ in self._conditions for edge_us in interval)
        if not current and not changed:
            return state
        bits = 0
        fields: dict[int, int] = {}
        for condition in current:
            bits |= condition.throttle_reasons
            fields.update(condition.fields)
        events = (_CONDITION_CHANGED,) if changed else ()
        return state._replace(condition=Condition(bits, fields), condition_events=events)

    def _state_at(self, at_us: int, previous_us: int) -> BoardState:
        segment = self._segment
        start_us, end_us = segment.interval
        if not start_us <= at_us < end_us:
            segment = self._enter_segment(at_us)
            start_us = segment.interval.start_us
        xids = self._xids_in(previous_us, at_us) if self._xids else ()
        if segment.lost:
            return _LOST._replace(xids=xids) if xids else _LOST
        minute = (at_us - 1) // US_PER_MINUTE
        if previous_us < minute * US_PER_MINUTE or previous_us < start_us or previous_us >= at_us:
            return self._mixed(segment, at_us, previous_us, xids)
        percents = tenancy_percents(segment, minute)
        shown = segment.shown.get(percents) or self._show(segment, percents)
        return BoardState(
            False,
            (self.used_mw_us(at_us) - self._origin) // US_PER_SECOND,
            shown.power_mw,
            shown.percent * _PPM_PER_PERCENT,
            segment.memory_bytes,
            30 + shown.percent // 2,
            shown.processes,
            (),
            xids,
        )

    def energy_mj(self, at_us: int) -> int:
        """Return the counter's value: millijoules since it last was zero, rounded down."""
        if not self._segment.interval.start_us <= at_us < self._segment.interval.end_us:
            self._enter_segment(at_us)
        return (self.used_mw_us(at_us) - self._origin) // US_PER_SECOND

    def used_mw_us(self, at_us: int) -> int:
        """Return the energy used since the scenario's start in mW x us, exactly."""
        number, of_day_us = divmod(at_us, US_PER_DAY)
        minute, rest_us = divmod(of_day_us, US_PER_MINUTE)
        day = self._day if self._day.number == number else self._enter_day(number)
        used = day.used[minute]
        return used + self._integrate(Interval(at_us - rest_us, at_us)) if rest_us else used

    def pieces(self, interval: Interval) -> Iterator[tuple[Segment, Interval]]:
        """Yield the segments that `interval` meets, each with the part of it in that segment."""
        index = max(0, bisect_right(self._starts, interval.start_us) - 1)
        while index < len(self._segments) and self._starts[index] < interval.end_us:
            segment = self._segments[index]
            part = Interval(
                max(interval.start_us, segment.interval.start_us), min(interval.end_us, segment.interval.end_us)
            )
            if part.length_us > 0:
                yield segment, part
            index += 1

    def _enter_segment(self, at_us: int) -> Segment:
        segment = self._segment = self._segments[max(0, bisect_right(self._starts, at_us) - 1)]
        zero_us = segment.counts_from_us
        if zero_us not in self._origins:
            self._origins[zero_us] = self.used_mw_us(zero_us)
        self._origin = self._origins[zero_us]
        return segment

    def _xids_in(self, previous_us: int, at_us: int) -> tuple[int, ...]:
        return tuple(xid for when_us, xid in self._xids if previous_us < when_us <= at_us)

    def _show(self, segment: Segment, percents: tuple[int, ...]) -> _Shown:
        processes = tuple(
            ProcessState(tenancy.pid, tenancy.memory_bytes, percent * _PPM_PER_PERCENT, tenancy.gpu_instance)
            for tenancy, percent in zip(segment.tenancies, percents, strict=True)
        )
        percent = board_percent(segment, percents, self._mig_slices)
        shown = segment.shown[percents] = _Shown(percent, self._power_of(segment, percents), processes)
        return shown

    def _mixed(self, now: Segment, at_us: int, previous_us: int, xids: tuple[int, ...]) -> BoardState:
        """Return the state after a period in which something changed: means over the period, in whole percents."""
        since_us = max(0, min(previous_us, at_us - 1))
        length_us = max(1, at_us - since_us)
        whole = 0
        by_pid: dict[int, int] = {}
        seen: dict[int, Tenancy] = {}
        for segment, part, percents in self._minutes(Interval(since_us, at_us)):
            whole += board_percent(segment, percents, self._mig_slices) * part.length_us
            for tenancy, percent in zip(segment.tenancies, percents, strict=True):
                by_pid[tenancy.pid] = by_pid.get(tenancy.pid, 0) + percent * part.length_us
                seen[tenancy.pid] = tenancy
        present = {tenancy.pid for tenancy in now.tenancies}

        def state(tenancy: Tenancy) -> ProcessState:
            sm_ppm = _mean_ppm(by_pid.get(tenancy.pid, 0), length_us)
            came_us, left_us = tenancy.interval
            return ProcessState(
                tenancy.pid,
                tenancy.memory_bytes,
                sm_ppm,
                tenancy.gpu_instance,
                came_us=came_us if came_us > previous_us else None,
                left_us=left_us if left_us <= at_us else None,
            )

        finished = [tenancy for pid, tenancy in seen.items() if pid not in present]
        utilization_ppm = _mean_ppm(whole, length_us)
        percent = utilization_ppm // _PPM_PER_PERCENT
        return BoardState(
            lost=False,
            energy_mj=self.energy_mj(at_us),
            power_mw=now.power.power_mw(percent, held=bool(now.tenancies)),
            utilization_ppm=utilization_ppm,
            memory_used_bytes=now.memory_bytes,
            temperature_c=30 + percent // 2,
            processes=tuple(state(tenancy) for tenancy in now.tenancies),
            finished=tuple(state(tenancy) for tenancy in finished),
            xids=xids,
            ended=tuple(self._ended(tenancy) for tenancy in finished) if self._accounting else (),
        )

    def _ended(self, tenancy: Tenancy) -> EndedState:
        """Return what accounting mode keeps of a process: its use is the mean over its life, in whole percents."""
        start_us, end_us = tenancy.interval
        percent_us = 0
        for segment, part, percents in self._minutes(tenancy.interval):
            for other, percent in zip(segment.tenancies, percents, strict=True):
                percent_us += percent * part.length_us if other.pid == tenancy.pid else 0
        return EndedState(tenancy.pid, start_us, end_us, tenancy.memory_bytes, percent_us // (end_us - start_us))

    def _minutes(self, interval: Interval) -> Iterator[tuple[Segment, Interval, tuple[int, ...]]]:
        """Yield the parts of `interval` in which nothing changes, with the percents of the processes there."""
        for segment, part in self.pieces(interval):
            at_us = part.start_us
            while at_us < part.end_us:
                minute = at_us // US_PER_MINUTE
                until_us = min(part.end_us, (minute + 1) * US_PER_MINUTE)
                yield segment, Interval(at_us, until_us), tenancy_percents(segment, minute)
                at_us = until_us

    def _integrate(self, interval: Interval) -> int:
        return sum(
            self._power_of(segment, percents) * part.length_us for segment, part, percents in self._minutes(interval)
        )

    def _power_of(self, segment: Segment, percents: tuple[int, ...]) -> int:
        if segment.lost:
            return 0
        percent = board_percent(segment, percents, self._mig_slices)
        return segment.power.power_mw(percent, held=bool(segment.tenancies))

    def _enter_day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None:
            for missing in range(len(self._used_before) - 1, number):
                self._build_day(missing)
            day = self._build_day(number)
        self._day = day
        return day

    def _build_day(self, number: int) -> _Day:
        """Work out a day, given the energy at its start, and note the energy at its end."""
        first_us = number * US_PER_DAY
        spent = [0] * MINUTES_PER_DAY
        for segment, part in self.pieces(Interval(first_us, first_us + US_PER_DAY)):
            first, last = -(-(part.start_us - first_us) // US_PER_MINUTE), (part.end_us - first_us) // US_PER_MINUTE
            if first < last:
                of_minutes = _day_percents(segment, number, self._mig_slices, first, last)
                table = self._table(segment)
                spent[first:last] = [table[percent] for percent in of_minutes]
            for cut_us in {part.start_us, part.end_us}:
                minute, rest_us = divmod(cut_us - first_us, US_PER_MINUTE)
                if rest_us:
                    from_us = first_us + minute * US_PER_MINUTE
                    spent[minute] = self._integrate(Interval(from_us, from_us + US_PER_MINUTE))
        used = array("q", accumulate(spent, initial=self._used_before[number]))
        if len(self._used_before) == number + 1:
            self._used_before.append(used[-1])
        if len(self._days) > 1:
            self._days.clear()
        day = self._days[number] = _Day(number, used)
        return day

    def _table(self, segment: Segment) -> list[int]:
        """Return the energy of a minute in mW x us for each percent."""
        if segment.lost:
            return [0] * 101
        held = bool(segment.tenancies)
        return [segment.power.power_mw(percent, held=held) * US_PER_MINUTE for percent in range(101)]


def build_segments(
    tenancies: list[Tenancy], losses: list[Interval], resets: list[int], powers: list[tuple[int, PowerModel]]
) -> list[Segment]:
    """Return the board's segments from 0 on, without holes; the last one has no end.

    `powers` are what it draws from which instant on, the first of them 0.
    """
    changes = [at_us for at_us, _ in powers]
    edges = {*changes, *resets}
    for interval in (*losses, *(tenancy.interval for tenancy in tenancies)):
        edges.update(interval)
    starts = sorted(edge for edge in edges if edge >= 0)
    zeroes = sorted({0, *resets, *(loss.end_us for loss in losses)})
    arriving = sorted(tenancies, key=lambda tenancy: (tenancy.interval.start_us, tenancy.pid))
    segments: list[Segment] = []
    present: list[Tenancy] = []
    position = 0
    for start_us, end_us in zip(starts, [*starts[1:], _FOREVER_US], strict=True):
        present = [tenancy for tenancy in present if tenancy.interval.end_us > start_us]
        while position < len(arriving) and arriving[position].interval.start_us <= start_us:
            present.append(arriving[position])
            position += 1
        lost = any(loss.start_us <= start_us < loss.end_us for loss in losses)
        counts_from_us = zeroes[bisect_right(zeroes, start_us) - 1]
        memory_bytes = sum(tenancy.memory_bytes for tenancy in present)
        _, power = powers[bisect_right(changes, start_us) - 1]
        segments.append(
            Segment(Interval(start_us, end_us), tuple(present), lost, counts_from_us, memory_bytes, {}, power)
        )
    return segments


def tenancy_percents(segment: Segment, minute: int) -> tuple[int, ...]:
    """Return how busy each process keeps its device in that minute; sharers never reach more than 100 together."""
    tenancies = segment.tenancies
    if not tenancies:
        return ()
    day, of_day = divmod(minute, MINUTES_PER_DAY)
    if len(tenancies) == 1:
        return (tenancies[0].activity.day(day)[of_day],)
    wanted = [tenancy.activity.day(day)[of_day] for tenancy in tenancies]
    if sum(wanted) <= 100:
        return tuple(wanted)
    return tuple(wanted) if tenancies[0].slices else tuple(split_exactly(100, wanted))


def board_percent(segment: Segment, percents: tuple[int, ...], mig_slices: int) -> int:
    """Return how busy the board as a whole is: the sum of its processes, on MIG instances by their slices."""
    if segment.tenancies and segment.tenancies[0].slices:
        weighted = (tenancy.slices * percent for tenancy, percent in zip(segment.tenancies, percents, strict=True))
        return min(100, sum(weighted) // mig_slices)
    return sum(percents)


def _day_percents(segment: Segment, day: int, mig_slices: int, first: int, last: int) -> bytes:
    tenancies = segment.tenancies
    if not tenancies:
        return bytes(last - first)
    columns = [tenancy.activity.day(day)[first:last] for tenancy in tenancies]
    if tenancies[0].slices:
        sizes = [tenancy.slices for tenancy in tenancies]
        return bytes(
            min(100, sum(size * percent for size, percent in zip(sizes, row, strict=True)) // mig_slices)
            for row in zip(*columns, strict=True)
        )
    if len(columns) == 1:
        return columns[0]
    return bytes(min(100, total) for total in map(sum, zip(*columns, strict=True)))


def _mean_ppm(percent_us: int, length_us: int) -> int:
    """Return the mean of a period in parts per million, rounded to a whole percent as drivers report it."""
    return (2 * percent_us + length_us) // (2 * length_us) * _PPM_PER_PERCENT

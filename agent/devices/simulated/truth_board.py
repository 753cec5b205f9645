"""The truth of one board: what each of its devices and holders had, and where an agent cannot know it exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from agent.devices.simulated.scenario import Fleet, SimulatedNode, activity_name
from agent.devices.simulated.scenario_hardware import Board
from agent.devices.simulated.scenario_holders import Tenant
from agent.devices.simulated.world_activity import MINUTES_PER_DAY, Activity
from agent.devices.simulated.world_power import PowerModel
from gpuledger.accounting.intervals import Interval, overlap_us
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import GPU_PARTS, US_PER_MINUTE, US_PER_SECOND
from gpuledger.model import State

UNATTRIBUTED: Final = "unattributed"
LOOKS_AGAIN_US: Final = US_PER_MINUTE  # a lost board is looked for this often: NVML must be opened anew for it
_HELD: Final = (State.ACTIVE, State.HELD_IDLE, State.HELD_UNOBSERVED)


class Line(NamedTuple):
    """What one device and one holder (or nobody) had in one state. Times are of the device, not of a whole GPU."""

    device: str
    parts: int
    holder: str | None
    team: str  # empty: nobody holds it
    state: State
    reason: str
    held_us: int
    active_us: int | None  # None: no driver shows it
    energy_mj: int
    shared_minutes: int = 0  # in which these were shares of something, rounded to whole units


class Seam(NamedTuple):
    """An instant that lies between two samples, or at which a reading is lost, whom that touches, and how far."""

    device: str
    who: frozenset[str]  # holders, and the states of time that nobody holds
    held_us: int  # how much held time may move between these
    state_us: int  # how much of it may be seen in another state, or as other work
    energy_mj: int


class _Stay(NamedTuple):
    """A holder on a device of the board."""

    device: str
    holder: str
    team: str
    interval: Interval
    activity: Activity


class _Piece(NamedTuple):
    """A stretch in which nobody comes or goes; `held` has every device of the board, in order of their keys."""

    interval: Interval
    lost: bool
    fault: str  # of a board that is there and cannot be used
    unobserved: bool
    held: tuple[tuple[str, tuple[_Stay, ...]], ...]


class _Sum:
    """What a line collects."""

    __slots__ = ("active_us", "energy_nj", "held_us", "shared_minutes")

    def __init__(self) -> None:
        self.held_us = 0
        self.active_us = 0
        self.energy_nj = 0
        self.shared_minutes = 0


class BoardTruth:
    """The truth of one board. Energy is counted in nanojoules: milliwatts x microseconds."""

    def __init__(self, fleet: Fleet, node: SimulatedNode, board: Board, interval: Interval, step_us: int) -> None:
        self._fleet = fleet
        self._board = board
        self._interval = interval
        self._step_us = step_us
        self._outages = [*node.outages]
        self._losses = [
            loss.interval for loss in fleet.losses if (loss.node, loss.board) == (node.name, board.spec.index)
        ]
        self._impaired = [
            found for found in fleet.impaired if (found.node, found.board) == (node.name, board.spec.index)
        ]
        self._reloads = [at_us for name, at_us in fleet.reloads if name == node.name]
        self._powers = [
            (found.from_us, found.power)
            for found in fleet.powers
            if (found.node, found.board) == (node.name, board.spec.index)
        ]
        self._parts = board_devices(board)
        self._stays = sorted(self._find_stays(node.name), key=lambda stay: stay.interval)
        self._sums: dict[tuple[str, str | None, str, State, str], _Sum] = defaultdict(_Sum)

    def lines(self) -> Iterator[Line]:
        """Yield the board's lines."""
        for unobserved, pieces in groupby(self._pieces(), key=lambda piece: piece.unobserved):
            if unobserved:
                self._add_gap(list(pieces))
            else:
                for piece in pieces:
                    self._add(piece)
        self._name_doubtful_states()
        for (device, holder, team, state, reason), sum_ in self._sums.items():
            active_us = None if state in (State.HELD_UNOBSERVED, State.UNOBSERVED) else sum_.active_us
            energy_mj = sum_.energy_nj // US_PER_SECOND
            yield Line(
                device,
                self._parts[device],
                holder,
                team,
                state,
                reason,
                sum_.held_us,
                active_us,
                energy_mj,
                sum_.shared_minutes,
            )

    def _name_doubtful_states(self) -> None:
        """Make lines of no length for the states in which an agent may see the time around a seam."""
        for seam in self.seams():
            for stay in self._stays:
                if seam.state_us and stay.device == seam.device and stay.holder in seam.who:
                    sliced = len(self._parts) > 1
                    for state in (State.HELD_UNOBSERVED,) if sliced else _HELD:
                        self._held(stay, state)

    def seams(self) -> Iterator[Seam]:
        """Yield the instants of this board that an agent cannot place."""
        step_us = self._step_us
        for stay in self._stays:
            for at_us, moved_us in zip(stay.interval, (0, step_us), strict=True):
                if self._is_seen(at_us) and self._between_samples(at_us):
                    yield self._seam(stay.device, at_us, moved_us, step_us)
                    yield from self._roundings(stay.device)
        for device in self._parts:
            faults = (loss.start_us for loss in (*self._losses, *(found.interval for found in self._impaired)))
            for at_us in (*faults, *self._reloads):
                if self._is_seen(at_us, or_at_end=True):
                    moved_us = step_us if self._between_samples(at_us) else 0
                    yield self._seam(device, at_us, moved_us, step_us, State.UNAVAILABLE)
            for loss in self._losses:
                if self._is_seen(loss.end_us):
                    width_us = max(step_us, LOOKS_AGAIN_US)
                    yield self._seam(device, loss.end_us, width_us, width_us, State.UNAVAILABLE)

    def _seam(self, device: str, at_us: int, held_us: int, state_us: int, *states: State) -> Seam:
        """Return the seam at `at_us`: it touches whoever is on the device from the sample before until it is seen."""
        start_us = (at_us - 1) // self._step_us * self._step_us
        span = Interval(start_us, start_us + state_us)
        touched = {state.label for state in (State.IDLE, *states)}
        touched |= {stay.holder for stay in self._stays if stay.device == device and overlap_us(stay.interval, span)}
        power_mw = self._power_at(at_us).power_mw(100, held=True)
        return Seam(device, frozenset(touched), held_us, state_us, -(-power_mw * state_us // US_PER_SECOND))

    def _roundings(self, device: str) -> Iterator[Seam]:
        """Yield what a seam on `device` does to the other instances of its board: their energy is rounded anew."""
        for other in self._parts.keys() - {device}:
            holders = {stay.holder for stay in self._stays if stay.device == other}
            yield Seam(other, frozenset({State.IDLE.label, *holders}), 0, 0, len(self._parts))

    def _between_samples(self, at_us: int) -> bool:
        return at_us % self._step_us != 0

    def _is_seen(self, at_us: int, *, or_at_end: bool = False) -> bool:
        """Tell whether the instant is inside the interval and not in an outage."""
        inside = self._interval.start_us < at_us < self._interval.end_us + or_at_end
        return inside and not any(outage.start_us < at_us < outage.end_us for outage in self._outages)

    def _find_stays(self, node: str) -> Iterator[_Stay]:
        for tenant in self._fleet.tenants:
            for slot in tenant.run.slots:
                if (slot.node, slot.board) == (node, self._board.spec.index):
                    name = activity_name(tenant, slot, self._fleet.seed)
                    activity = Activity(tenant.run.workload.activity, name, self._fleet.first_weekday)
                    team = tenant.run.workload.team or UNATTRIBUTED
                    yield _Stay(self._board.key(slot.mig), tenant.holder, team, self._absolute(tenant), activity)

    def _absolute(self, tenant: Tenant) -> Interval:
        start_us, end_us = tenant.run.interval
        return Interval(start_us + self._fleet.start_us, end_us + self._fleet.start_us)

    def _pieces(self) -> Iterator[_Piece]:
        edges = {*self._interval, *(at_us for at_us, _ in self._powers)}
        faults = (found.interval for found in self._impaired)
        for interval in (*self._losses, *faults, *self._outages, *(stay.interval for stay in self._stays)):
            edges.update(interval)
        inside = sorted(at_us for at_us in edges if self._interval.start_us <= at_us <= self._interval.end_us)
        for start_us, end_us in pairwise(inside):
            present = [stay for stay in self._stays if stay.interval.start_us <= start_us < stay.interval.end_us]
            yield _Piece(
                Interval(start_us, end_us),
                any(loss.start_us <= start_us < loss.end_us for loss in self._losses),
                next((found.fault for found in self._impaired if _meets(found.interval, start_us)), ""),
                any(outage.start_us <= start_us < outage.end_us for outage in self._outages),
                tuple((device, _on(device, present)) for device in sorted(self._parts)),
            )

    def _add(self, piece: _Piece) -> None:
        if piece.lost:
            for device in self._parts:
                self._sum(device, None, State.UNAVAILABLE, "gpu_lost").held_us += piece.interval.length_us
            return
        if piece.fault:  # of whole boards only: what it draws is nobody's
            sum_ = self._sum(self._board.spec.uuid, None, State.UNAVAILABLE, piece.fault)
            sum_.held_us += piece.interval.length_us
            sum_.energy_nj += self._energy_nj(piece)
            return
        stays = [stay for _, on_it in piece.held for stay in on_it]
        whole = len(self._parts) == 1
        for minute, interval in _minutes(piece.interval, self._fleet.start_us, together=whole and len(stays) < 2):
            if not whole:
                self._add_slices(piece, minute, interval)
            elif not stays:
                sum_ = self._sum(piece.held[0][0], None, State.IDLE, "free")
                sum_.held_us += interval.length_us
                sum_.energy_nj += self._power_at(interval.start_us).idle_mw * interval.length_us
            elif len(stays) == 1:
                self._add_sole(stays[0], minute, interval)
            else:
                self._add_shared(stays, minute, interval)

    def _add_gap(self, pieces: list[_Piece]) -> None:
        """Add a stretch in which nobody looked; the energy goes by size."""
        energy_mj = sum(map(self._energy_nj, pieces)) // US_PER_SECOND
        devices = sorted(self._parts)
        shares = split_exactly(energy_mj, [self._parts[device] for device in devices])
        for device, given_mj in zip(devices, shares, strict=True):
            sum_ = self._sum(device, None, State.UNOBSERVED, "agent_down")
            sum_.held_us += sum(piece.interval.length_us for piece in pieces)
            sum_.energy_nj += given_mj * US_PER_SECOND

    def _add_sole(self, stay: _Stay, minute: int, interval: Interval) -> None:
        """Add a stretch of one holder: many whole minutes of one day, or a part of one minute."""
        count = max(1, interval.length_us // US_PER_MINUTE)
        day, of_day = divmod(minute, MINUTES_PER_DAY)
        percents = stay.activity.day(day)[of_day : of_day + count]
        idle_us = percents.count(0) * interval.length_us // count
        percent_us = sum(percents) * (interval.length_us // count)
        power = self._power_at(interval.start_us)
        for state, length_us in ((State.ACTIVE, interval.length_us - idle_us), (State.HELD_IDLE, idle_us)):
            if length_us:
                sum_ = self._held(stay, state)
                sum_.held_us += length_us
                sum_.energy_nj += power.held_mw * length_us
        if percent_us:
            sum_ = self._held(stay, State.ACTIVE)
            sum_.active_us += percent_us // 100
            sum_.energy_nj += power.per_percent_mw * percent_us

    def _add_shared(self, stays: list[_Stay], minute: int, interval: Interval) -> None:
        """Add a minute (or a part of one) of several holders: time evenly, energy by idle floor and work."""
        length_us = interval.length_us
        work = _percents(stays, minute)
        holders = sorted(work)
        times = split_exactly(length_us, [1] * len(holders))
        power = self._power_at(interval.start_us)
        energy_mj = power.power_mw(sum(work.values()), held=True) * length_us // US_PER_SECOND
        if any(work.values()):
            floor_mj = min(energy_mj, power.idle_mw * length_us // US_PER_SECOND)
            by_work = split_exactly(energy_mj - floor_mj, [work[holder] for holder in holders])
            energies = [a + b for a, b in zip(split_exactly(floor_mj, times), by_work, strict=True)]
        else:
            energies = split_exactly(energy_mj, times)
        by_holder = {stay.holder: stay for stay in stays}
        for holder, held_us, given_mj in zip(holders, times, energies, strict=True):
            sum_ = self._held(by_holder[holder], State.ACTIVE if work[holder] else State.HELD_IDLE)
            sum_.held_us += held_us
            sum_.active_us += work[holder] * length_us // 100
            sum_.shared_minutes += 1
            sum_.energy_nj += given_mj * US_PER_SECOND

    def _add_slices(self, piece: _Piece, minute: int, interval: Interval) -> None:
        """Add a minute of MIG: no driver shows an instance's work, so the board's energy goes by size and time."""
        length_us = interval.length_us
        sized = [
            (self._parts[device] * held_us, device, stay, held_us)
            for device, stays in piece.held
            for stay, held_us in _evenly(stays, length_us)
        ]
        energy_mj = self._slices_mw(piece, minute) * length_us // US_PER_SECOND
        for (_, device, stay, held_us), given_mj in zip(
            sized, split_exactly(energy_mj, [size for size, *_ in sized]), strict=True
        ):
            if stay is None:
                reason = "stranded" if device.endswith("/remainder") else "free"
                sum_ = self._sum(device, None, State.IDLE, reason)
            else:
                sum_ = self._held(stay, State.HELD_UNOBSERVED)
            sum_.held_us += held_us
            sum_.energy_nj += given_mj * US_PER_SECOND
            sum_.shared_minutes += 1

    def _energy_nj(self, piece: _Piece) -> int:
        """Return what the board uses in a piece, whoever is on it."""
        stays = [stay for _, on_it in piece.held for stay in on_it]
        power = self._power_at(piece.interval.start_us)
        total_nj = 0
        for minute, interval in _minutes(piece.interval, self._fleet.start_us, together=False):
            if len(self._parts) > 1:
                power_mw = self._slices_mw(piece, minute)
            else:
                power_mw = power.power_mw(sum(_percents(stays, minute).values()), held=bool(stays))
            total_nj += power_mw * interval.length_us
        return total_nj

    def _slices_mw(self, piece: _Piece, minute: int) -> int:
        weighted = held = 0
        for device, stays in piece.held:
            slices = self._parts[device] * self._board.mig_slices // GPU_PARTS
            day, of_day = divmod(minute, MINUTES_PER_DAY)
            weighted += sum(stay.activity.day(day)[of_day] * slices for stay in stays)
            held += len(stays)
        percent = min(100, weighted // self._board.mig_slices)
        return self._power_at(piece.interval.start_us).power_mw(percent, held=bool(held))

    def _power_at(self, at_us: int) -> PowerModel:
        """Return what the board draws at an instant; pieces are cut where that changes."""
        return next((power for since_us, power in reversed(self._powers) if since_us <= at_us), self._board.power)

    def _held(self, stay: _Stay, state: State) -> _Sum:
        reason = "memory_held" if state is State.HELD_IDLE else ""
        return self._sums[stay.device, stay.holder, stay.team, state, reason]

    def _sum(self, device: str, holder: str | None, state: State, reason: str) -> _Sum:
        return self._sums[device, holder, "", state, reason]


def _meets(interval: Interval, at_us: int) -> bool:
    return interval.start_us <= at_us < interval.end_us


def board_devices(board: Board) -> dict[str, int]:
    """Return the devices that a board is in the ledger, with their sizes in parts of a GPU."""
    if not board.spec.slices:
        return {board.spec.uuid: GPU_PARTS}
    devices = {piece.uuid: board.parts(piece.index) for piece in board.spec.slices}
    if board.left_over_parts:
        devices[f"{board.spec.uuid}/remainder"] = board.left_over_parts
    return devices


def _on(device: str, stays: list[_Stay]) -> tuple[_Stay, ...]:
    return tuple(stay for stay in stays if stay.device == device)


def _evenly(stays: tuple[_Stay, ...], length_us: int) -> list[tuple[_Stay | None, int]]:
    """Return the holders of a device in order, each with its share of the time; nobody has all of it."""
    by_holder = {stay.holder: stay for stay in stays}
    if not by_holder:
        return [(None, length_us)]
    times = split_exactly(length_us, [1] * len(by_holder))
    return list(zip((by_holder[holder] for holder in sorted(by_holder)), times, strict=True))


def _percents(stays: Iterable[_Stay], minute: int) -> dict[str, int]:
    """Return the work of each holder in a minute; together they never reach more than 100."""
    day, of_day = divmod(minute, MINUTES_PER_DAY)
    several = list(stays)
    wanted = [stay.activity.day(day)[of_day] for stay in several]
    given = split_exactly(100, wanted) if sum(wanted) > 100 else wanted
    work: dict[str, int] = {}
    for stay, percent in zip(several, given, strict=True):
        work[stay.holder] = work.get(stay.holder, 0) + percent
    return work


def _minutes(interval: Interval, origin_us: int, *, together: bool) -> Iterator[tuple[int, Interval]]:
    """Yield minutes since `origin_us` with their part of `interval`; `together`: the whole ones of a day at once."""
    at_us = interval.start_us
    while at_us < interval.end_us:
        minute, past_us = divmod(at_us - origin_us, US_PER_MINUTE)
        until_us = min(interval.end_us, at_us - past_us + US_PER_MINUTE)
        if together and not past_us and until_us - at_us == US_PER_MINUTE:
            left = MINUTES_PER_DAY - minute % MINUTES_PER_DAY
            until_us = at_us + min(left, (interval.end_us - at_us) // US_PER_MINUTE) * US_PER_MINUTE
        yield minute, Interval(at_us, until_us)
        at_us = until_us

"""The meter: snapshots of a node's GPUs in, usage records, energy and events out.

The interval between two snapshots belongs to the occupants of the earlier one; what the GPU did in it is what the
later one says. Records are cut at every change of a device's holders, states, reasons or evidence and at every UTC
minute (in a gap that nobody observed: at every UTC hour), and are released when their minute is over: what one call
releases is complete for `[from_us, until_us)`, and its energy is exactly that of its records. A checkpoint taken there
holds all that it takes to go on without a seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from gpuledger.accounting.energy import AFTER_RESET, EnergyAccount, EnergyMark, MeteredEnergy, first_mark
from gpuledger.accounting.rows import OpenRow
from gpuledger.accounting.sharing import UNREADABLE, Step, Stretch, cut_at_hours, cut_at_minutes, share_board
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Snapshot
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.model import Event, UsageRecord

NO_SAMPLES: Final = "no_samples"
AGENT_DOWN: Final = "agent_down"


class Metered(NamedTuple):
    """What one call released, complete for `[from_us, until_us)`; nothing where the two are equal.

    The energy of a board's records sums to its entry in `energy`. A batch of several of these in a row has the energy
    `gpuledger.accounting.energy.merge_energy` of all their entries.
    """

    from_us: int
    until_us: int
    records: list[UsageRecord]
    energy: list[MeteredEnergy]
    events: list[Event]


class DeviceMark(msgspec.Struct, frozen=True):
    """A device that the meter knows, and whether it was usable."""

    device: str
    parts: int
    available: bool


class BoardMark(msgspec.Struct, frozen=True):
    """A board's devices and its energy so far."""

    board: str
    devices: tuple[DeviceMark, ...]
    energy: EnergyMark


class MeterCheckpoint(msgspec.Struct, frozen=True):
    """Where metering stands after everything before `at_us` was released. Holds no occupants: they are read again."""

    at_us: int
    boards: tuple[BoardMark, ...]


class Meter:
    """Turns one node's snapshots into usage, in order of time; pure but for what it remembers of the last snapshot.

    A step longer than `max_gap_us` is `unobserved` (reason no_samples). With a `checkpoint` the meter goes on from
    there: without a seam where the first snapshot is of that very instant, else with `unobserved` time (reason
    agent_down) up to the first snapshot.
    """

    def __init__(self, max_gap_us: int, checkpoint: MeterCheckpoint | None = None) -> None:
        self._max_gap_us = max_gap_us
        self._last: Snapshot | None = None
        self._resumed = checkpoint is not None
        self._behind = False
        self._skipped = False
        self._released_us = 0
        self._accounts: dict[str, EnergyAccount] = {}
        self._open: dict[str, OpenRow] = {}
        self._closed: list[UsageRecord] = []
        self._events: list[Event] = []
        self._standing: tuple[BoardSnapshot, ...] = ()  # what was present at the end of the last release
        if checkpoint is not None:
            self._last = Snapshot(checkpoint.at_us, tuple(map(_as_board, checkpoint.boards)))
            self._released_us = checkpoint.at_us
            self._accounts = {mark.board: EnergyAccount(mark.energy) for mark in checkpoint.boards}
            self._standing = self._last.boards

    def observe(self, snapshot: Snapshot) -> Metered:
        """Meter the step that ends at `snapshot`; release what is over: everything before the last full minute.

        A snapshot that is not later than the one before is an event and otherwise ignored: that time is metered.
        Raises ConservationError where shares do not add up.
        """
        last, at_us = self._last, snapshot.at_us
        if last is None:
            last = Snapshot(at_us, ())
            self._released_us = at_us
        elif at_us < last.at_us or (at_us == last.at_us and not self._resumed):
            return self._clock_jump(last.at_us, at_us)
        minute_us = at_us - at_us % US_PER_MINUTE
        later = self._step(last, snapshot, minute_us)
        self._note_changes(last, snapshot)
        if at_us in (minute_us, last.at_us):
            metered = self._release(snapshot, at_us)
        elif minute_us > last.at_us:
            metered = self._release(last, minute_us)
        else:
            metered = self._release_nothing()
        for account, device, piece in later:
            self._extend(account, device, piece)
        self._close_departed(snapshot)
        self._last, self._resumed, self._behind, self._skipped = snapshot, False, False, False
        return metered

    def skip(self) -> None:
        """Say that samples are missing from here on: the step to the next snapshot is `unobserved`, however short."""
        self._skipped = True

    @property
    def devices(self) -> int:
        """Return how many devices the next step is about."""
        return sum(len(board.devices) for board in self._last.boards) if self._last else 0

    def flush(self) -> Metered:
        """Close all rows at the last snapshot and release everything."""
        if self._last is None or self._resumed:
            return self._release_nothing()
        for row in self._open.values():
            self._closed += row.close()
        self._open.clear()
        return self._release(self._last, self._last.at_us)

    def checkpoint(self) -> MeterCheckpoint:
        """Return where metering stands at the end of what was released last. Raises ValueError before any snapshot."""
        if self._last is None:
            raise ValueError("the meter has seen no snapshot yet")
        return MeterCheckpoint(
            self._released_us,
            tuple(
                BoardMark(
                    board.board,
                    tuple(DeviceMark(device.device, device.parts, device.available) for device in board.devices),
                    self._accounts[board.board].mark(),
                )
                for board in self._standing
            ),
        )

    def _step(self, last: Snapshot, now: Snapshot, minute_us: int) -> list[tuple[EnergyAccount, str, Stretch]]:
        """Meter `(last, now]`; return the pieces that lie after a minute that is to be released first."""
        start_us, end_us = last.at_us, now.at_us
        length_us = end_us - start_us
        if not length_us:
            return []
        missing = NO_SAMPLES if self._skipped or length_us > self._max_gap_us else ""
        unobserved = AGENT_DOWN if self._resumed else missing
        crosses = (end_us - 1) // US_PER_MINUTE != start_us // US_PER_MINUTE
        horizon_us = minute_us if minute_us > start_us else end_us
        found = {board.board: board for board in now.boards}
        later = []
        for board in last.boards:
            after = found.get(board.board)
            account = self._accounts[board.board]
            energy_mj, method = account.advance(after, length_us, observed=not unobserved)
            if method == AFTER_RESET:
                self._events.append(_counter_reset(board.board, end_us, energy_mj))
            step = Step(start_us, end_us, length_us, energy_mj, method, unobserved)
            for device, stretches in share_board(board, after, step):
                for stretch in stretches:
                    for piece in _pieces(stretch, horizon_us, watched=not unobserved) if crosses else (stretch,):
                        if piece.start_us < horizon_us:
                            self._extend(account, device, piece)
                        else:
                            later.append((account, device, piece))
        return later

    def _extend(self, account: EnergyAccount, device: str, piece: Stretch) -> None:
        row = self._open.pop(device, None)
        if row is not None and row.continues_with(piece):
            row.grow(piece)
        else:
            if row is not None:
                self._closed += row.close()
            row = OpenRow(device, account, *piece)
        if piece.end_us % US_PER_MINUTE:
            self._open[device] = row
        else:
            self._closed += row.close()

    def _close_departed(self, now: Snapshot) -> None:
        if self._open:
            present = {device.device for board in now.boards for device in board.devices}
            for device in [device for device in self._open if device not in present]:
                self._closed += self._open.pop(device).close()

    def _note_changes(self, last: Snapshot, now: Snapshot) -> None:
        known = {board.board for board in last.boards}
        for board in now.boards:
            if board.board in known:
                continue
            if board.board in self._accounts:
                self._accounts[board.board].start_again(board)
            else:
                self._accounts[board.board] = EnergyAccount(first_mark(board))
        self._events.extend(_changes(last, now))

    def _release(self, standing: Snapshot, until_us: int) -> Metered:
        """Hand over everything before `until_us`; `standing` is what is present there."""
        complete = until_us == standing.at_us
        energy = []
        for board, account in sorted(self._accounts.items(), key=_first):
            settled = account.settle(board, complete=complete)
            if settled is not None:
                energy.append(settled)
        self._standing = standing.boards
        if complete and len(self._accounts) > len(standing.boards):
            self._accounts = {board.board: self._accounts[board.board] for board in standing.boards}
        events = [event for event in self._events if event.at_us <= until_us]
        self._events = [event for event in self._events if event.at_us > until_us]
        records, self._closed = self._closed, []
        from_us, self._released_us = self._released_us, until_us
        return Metered(from_us, until_us, records, energy, events)

    def _release_nothing(self) -> Metered:
        return Metered(self._released_us, self._released_us, [], [], [])

    def _clock_jump(self, last_us: int, at_us: int) -> Metered:
        """Say once that the clock is behind what has been metered; nothing is metered until it has caught up."""
        if self._behind:
            return self._release_nothing()
        self._behind = True
        event = Event(
            at_us,
            "clock_jump",
            f"the clock shows {(last_us - at_us) / 1e6:.3f} s less than at the last sample; sampling waits for it",
            "warning",
            details={"last_us": str(last_us), "at_us": str(at_us)},
        )
        return self._release_nothing()._replace(events=[event])


def _pieces(stretch: Stretch, horizon_us: int, *, watched: bool) -> list[Stretch]:
    """Return a stretch as rows have it: by minutes, or by hours where nobody looked and a gap may be long."""
    return cut_at_minutes(stretch) if watched else cut_at_hours(stretch, horizon_us)


def _first(item: tuple[str, EnergyAccount]) -> str:
    return item[0]


def _as_board(mark: BoardMark) -> BoardSnapshot:
    return BoardSnapshot(
        mark.board, tuple(DeviceSnapshot(device.device, device.parts, device.available) for device in mark.devices)
    )


def _counter_reset(board: str, at_us: int, energy_mj: int | None) -> Event:
    return Event(
        at_us,
        "counter_reset",
        "the energy counter started again",
        device=board,
        details={"energy_mj": str(energy_mj)},
    )


def _changes(last: Snapshot, now: Snapshot) -> Iterator[Event]:
    """Yield an event for each device that came, went, or became usable or unusable."""
    known = {device.device: device for board in last.boards for device in board.devices}
    for board in now.boards:
        for device in board.devices:
            before = known.pop(device.device, None)
            if before is None:
                yield Event(now.at_us, "device_added", "device seen for the first time", device=device.device)
            if device.available:
                if before is not None and not before.available:
                    yield Event(now.at_us, "gpu_recovered", "device is usable again", device=device.device)
            elif before is None or before.available:
                yield _lost(device, now.at_us)
    for device in known.values():
        yield Event(now.at_us, "device_retired", "device is no longer there", device=device.device)


def _lost(device: DeviceSnapshot, at_us: int) -> Event:
    if device.reason == UNREADABLE:
        return Event(at_us, "gpu_unreadable", "device cannot be read", "warning", device=device.device)
    reason = device.reason or "gpu_lost"
    return Event(
        at_us, "gpu_lost", f"device is not usable: {reason}", "error", device=device.device, details={"reason": reason}
    )

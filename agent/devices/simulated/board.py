"""What the simulated driver holds for one board: its state now, and what its buffers keep of the recent past."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.devices.simulated.captures import Capture, load_capture
from agent.devices.simulated.world import BoardSpec, BoardState, EndedState, ProcessState, SliceSpec, World
from gpuledger.clock import Clock

_SAMPLES_KEPT: Final = 16  # periods in the driver's buffer of process utilisation
_ACCOUNTED: Final = 4_000  # processes in the circular buffer of accounting mode
_SAMPLE_US: Final = 100_000  # a driver renews its figures this often, however often it is asked
_WHOLE_BOARD: Final = 0xFFFFFFFF  # instance ids of what is not on an instance
_XID: Final = 0x8
_BEFORE_FIRST_US: Final = 1_000_000  # the period that the first figures describe


class Reported(NamedTuple):
    """An event that waits to be fetched."""

    kind: int
    value: int = 0
    gpu_instance: int = _WHOLE_BOARD
    compute_instance: int = _WHOLE_BOARD


class SimulatedBoard:
    """A board of the world at the time of the clock. One `board_at` per instant, however many calls ask."""

    def __init__(self, world: World, clock: Clock, position: int, spec: BoardSpec) -> None:
        self.spec = spec
        self.capture: Capture = load_capture(spec.capture)
        self.handle = 0x1000 * (position + 1)
        self.slices: dict[int, SliceSpec] = {self.handle + 1 + entry.index: entry for entry in spec.slices}
        self.events: deque[Reported] = deque()
        self.watched = False  # somebody registered for its events
        self._world = world
        self._clock = clock
        self._position = position
        self._at_us: int | None = None
        self.state = BoardState()
        self.unsupported = frozenset(self.capture.unsupported_calls)
        self.accounted: dict[int, EndedState] = {}  # by pid, the oldest first
        self.counts_work = False  # somebody samples its performance counters
        self._worked: dict[int | None, tuple[int, int]] = {}  # ppm x us of any kernel and of multiprocessors
        self._recent: deque[tuple[int, BoardState]] = deque(maxlen=_SAMPLES_KEPT)

    @property
    def mig(self) -> bool:
        """Whether the board is cut into instances."""
        return bool(self.spec.slices)

    def refresh(self) -> BoardState:
        """Bring `state` to the clock's time, and return it."""
        now_us, at_us = self._clock.now_us(), self._at_us
        if now_us == at_us or (at_us is not None and 0 <= now_us - at_us < _SAMPLE_US):
            return self.state
        previous_us = at_us if at_us is not None and at_us < now_us else now_us - _BEFORE_FIRST_US
        state = self._world.board_at(self._position, now_us, previous_us)
        self.state, self._at_us = state, now_us
        self._recent.append((now_us, state))
        if self.counts_work and at_us is not None:
            self._count_work(state, now_us - previous_us)
        if state.ended and self.spec.accounting:
            self._account(state.ended)
        if self.watched and (state.xids or state.condition_events):
            self._report(state)
        return state

    def worked(self, gpu_instance: int | None) -> tuple[int, int]:
        """Return the work of the board or of one of its instances so far, in ppm x us: any kernel, multiprocessors."""
        self.counts_work = True
        return self._worked.get(gpu_instance, (0, 0))

    def _count_work(self, state: BoardState, length_us: int) -> None:
        sm_ppm = state.utilization_ppm if state.sm_active_ppm is None else state.sm_active_ppm
        by_instance: dict[int | None, tuple[int, int]] = {None: (state.utilization_ppm, sm_ppm)}
        for part in self.slices.values():
            on_it = [process.sm_ppm for process in state.processes if process.gpu_instance == part.gpu_instance]
            by_instance[part.gpu_instance] = (min(1_000_000, sum(on_it)),) * 2
        for instance, (any_ppm, multi_ppm) in by_instance.items():
            before = self._worked.get(instance, (0, 0))
            self._worked[instance] = (before[0] + any_ppm * length_us, before[1] + multi_ppm * length_us)

    def _account(self, ended: tuple[EndedState, ...]) -> None:
        for process in ended:
            self.accounted.pop(process.pid, None)
            self.accounted[process.pid] = process
        while len(self.accounted) > _ACCOUNTED:
            del self.accounted[next(iter(self.accounted))]

    def _report(self, state: BoardState) -> None:
        for xid in state.xids:
            self.events.append(Reported(_XID, xid) if isinstance(xid, int) else Reported(_XID, *xid))
        self.events.extend(map(Reported, state.condition_events))

    def utilisation_since(self, last_seen_us: int) -> list[tuple[int, ProcessState]]:
        """Return the buffered samples newer than `last_seen_us`: those of processes that worked in their period.

        A process that left has a sample where it left; one that came and left within a period has one at each end.
        """
        return list(self._samples_since(last_seen_us))

    def _samples_since(self, last_seen_us: int) -> Iterator[tuple[int, ProcessState]]:
        for at_us, state in self._recent:
            if at_us > last_seen_us:
                for process in (*state.processes, *state.finished):
                    if process.sm_ppm > 0:
                        for sampled_us in _sampled(process, at_us):
                            if sampled_us > last_seen_us:
                                yield sampled_us, process


def _sampled(process: ProcessState, at_us: int) -> tuple[int, ...]:
    if process.left_us is None:
        return (at_us,)
    return (process.left_us,) if process.came_us is None else (process.came_us + 1, process.left_us)

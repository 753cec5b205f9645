"""What the simulated driver holds for one board: its state now, and the utilisation samples of the recent past."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from agent.devices.simulated.captures import Capture, load_capture
from agent.devices.simulated.world import BoardSpec, BoardState, ProcessState, SliceSpec, World
from gpuledger.clock import Clock

_SAMPLES_KEPT: Final = 16  # periods in the driver's buffer of process utilisation
_SAMPLE_US: Final = 100_000  # a driver renews its figures this often, however often it is asked
_BEFORE_FIRST_US: Final = 1_000_000  # the period that the first figures describe


class SimulatedBoard:
    """A board of the world at the time of the clock. One `board_at` per instant, however many calls ask."""

    def __init__(self, world: World, clock: Clock, position: int, spec: BoardSpec) -> None:
        self.spec = spec
        self.capture: Capture = load_capture(spec.capture)
        self.handle = 0x1000 * (position + 1)
        self.slices: dict[int, SliceSpec] = {self.handle + 1 + entry.index: entry for entry in spec.slices}
        self.xids: deque[int] = deque()
        self.watched = False  # somebody registered for its events
        self._world = world
        self._clock = clock
        self._position = position
        self._at_us: int | None = None
        self.state = BoardState()
        self.unsupported = frozenset(self.capture.unsupported_calls)
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
        if state.xids and self.watched:
            self.xids.extend(state.xids)
        return state

    def utilisation_since(self, last_seen_us: int) -> list[tuple[int, ProcessState]]:
        """Return the buffered samples newer than `last_seen_us`: those of processes that worked in their period."""
        return list(self._samples_since(last_seen_us))

    def _samples_since(self, last_seen_us: int) -> Iterator[tuple[int, ProcessState]]:
        for at_us, state in self._recent:
            if at_us > last_seen_us:
                for process in (*state.processes, *state.finished):
                    if process.sm_ppm > 0:
                        yield at_us, process

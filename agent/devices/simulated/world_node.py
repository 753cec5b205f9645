"""A simulated node as a world: its boards in order, its driver loads, and each board's state at an instant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from agent.devices.simulated.world import BoardSpec, BoardState
from agent.devices.simulated.world_board import BoardTimeline


class NodeWorld:
    """The `World` of one node. `reloads_us` count from `start_us`, the scenario's start."""

    def __init__(
        self,
        name: str,
        specs: tuple[BoardSpec, ...],
        timelines: Sequence[BoardTimeline],
        start_us: int,
        reloads_us: Sequence[int],
    ) -> None:
        self._name = name
        self._specs = specs
        self._timelines = timelines
        self._start_us = start_us
        self._reloads_us = sorted(reloads_us)

    def boards(self) -> tuple[BoardSpec, ...]:
        """Return the node's boards in NVML order."""
        return self._specs

    def epoch(self, at_us: int) -> str:
        """Return the driver load that is current at `at_us`."""
        return f"{self._name}/load-{bisect_right(self._reloads_us, at_us - self._start_us)}"

    def board_at(self, index: int, at_us: int, previous_us: int) -> BoardState:
        """Return the state of board `index`; before the scenario's start it is as at the start."""
        start_us = self._start_us
        at_us = max(at_us - start_us, 0)
        state = self._timelines[index].state_at(at_us, previous_us - start_us)
        return _later(state, start_us) if state.finished or state.ended else state


def _later(state: BoardState, by_us: int) -> BoardState:
    """Return the state with the instants at which processes came and left on the clock of the node."""
    return state._replace(
        finished=tuple(
            process._replace(came_us=_plus(process.came_us, by_us), left_us=_plus(process.left_us, by_us))
            for process in state.finished
        ),
        ended=tuple(
            process._replace(start_us=process.start_us + by_us, end_us=process.end_us + by_us)
            for process in state.ended
        ),
    )


def _plus(at_us: int | None, by_us: int) -> int | None:
    return None if at_us is None else at_us + by_us

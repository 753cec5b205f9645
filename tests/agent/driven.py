"""A scripted node behind the real pynvml, for tests that plant something and look at the next reading."""

from __future__ import annotations

from agent.devices.base import BoardReading, NodeReading
from agent.devices.nvml import NvmlSource
from agent.devices.simulated.driver import SimulatedDriver
from agent.devices.simulated.world import BoardSpec, BoardState
from gpuledger.clock import VirtualClock
from tests.agent.device_worlds import SECOND_US, START_US, ScriptedWorld, board


class Driven:
    """A node of scripted boards, read at seconds after its start."""

    def __init__(self, *specs: BoardSpec, **settings: bool | int) -> None:
        self.world = ScriptedWorld(*(specs or (board(0),)))
        self.clock = VirtualClock(START_US)
        self.driver = SimulatedDriver(self.world, self.clock)
        self.source = NvmlSource(clock=self.clock, epoch=lambda: self.world.load, **settings)  # type: ignore[arg-type]

    def show(self, state: BoardState, board: int = 0, after_s: float = 0) -> None:
        self.world.show(state, board, after_s)

    def node_at(self, seconds: float) -> NodeReading:
        self.clock.advance_to(START_US + int(seconds * SECOND_US))
        with self.driver.install():
            return self.source.read()

    def at(self, seconds: float, board: int = 0) -> BoardReading:
        return self.node_at(seconds).boards[board]

    def close(self) -> None:
        with self.driver.install():
            self.source.close()

"""Worlds for tests of the devices: what a driver shows is stated as a script of states."""

from __future__ import annotations

from agent.devices.simulated.captures import load_capture
from agent.devices.simulated.world import BoardSpec, BoardState, ProcessState, SliceSpec

START_US = 1_790_000_000_000_000
SECOND_US = 1_000_000
GIB = 1 << 30


class ScriptedWorld:
    """Shows for each board the last state whose time has come; counts how often it was asked."""

    def __init__(self, *specs: BoardSpec) -> None:
        self.specs = specs
        self.asked: list[tuple[int, int, int]] = []
        self.load = "first"
        self._states: dict[int, list[tuple[int, BoardState]]] = {}

    def show(self, state: BoardState, board: int = 0, after_s: float = 0) -> None:
        """Show `state` on `board` from `after_s` seconds after the start."""
        self._states.setdefault(board, []).append((START_US + int(after_s * SECOND_US), state))

    def boards(self) -> tuple[BoardSpec, ...]:
        return self.specs

    def epoch(self, at_us: int) -> str:
        return self.load

    def board_at(self, index: int, at_us: int, previous_us: int) -> BoardState:
        self.asked.append((index, at_us, previous_us))
        shown = BoardState()
        for since_us, state in self._states.get(index, []):
            if since_us <= at_us:
                shown = state
        return shown


def board(index: int = 0, capture: str = "h100-sxm", *slices: SliceSpec) -> BoardSpec:
    """Return a board of the node."""
    return BoardSpec(f"GPU-{index:04d}", capture, index, f"00000000:{index + 1:02X}:00.0", slices=slices)


def mig_slice(index: int, profile: str, gpu_instance: int, capture: str = "h100-sxm") -> SliceSpec:
    """Return a MIG instance as the capture's driver would cut it."""
    return load_capture(capture).slice_spec(index, f"MIG-{index:04d}", gpu_instance, profile)


def process(pid: int, percent: int = 0, memory_bytes: int = GIB, gpu_instance: int | None = None) -> ProcessState:
    """Return a process that works `percent` of the time."""
    return ProcessState(pid, memory_bytes, percent * 10_000, gpu_instance)

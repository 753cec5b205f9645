"""Cost of reading one board through pynvml, and how much of it the simulated driver itself takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from agent.devices.base import BoardReading, NodeReading, ProcessReading
from agent.devices.nvml import NvmlSource
from agent.devices.simulated.driver import SimulatedDriver
from agent.devices.simulated.world import BoardSpec, BoardState, ProcessState
from gpuledger.clock import VirtualClock
from gpuledger.model import Device

BOARDS = 8
READINGS = 400
ROUNDS = 5
STEP_US = 60_000_000
_DEVICE = Device(key="GPU-0", kind="gpu", model="NVIDIA H100 80GB HBM3")


class SteadyWorld:
    """Eight H100 boards that always show the same, so that the world costs nothing."""

    def __init__(self, processes: int) -> None:
        running = tuple(ProcessState(1_000 + number, 8 << 30, 200_000) for number in range(processes))
        self._state = BoardState(False, 10**9, 350_000, 800_000, 8 << 30, 50, running)
        self._specs = tuple(
            BoardSpec(f"GPU-{index}", "h100-sxm", index, f"00000000:{index + 1:02X}:00.0") for index in range(BOARDS)
        )

    def boards(self) -> tuple[BoardSpec, ...]:
        """Return the node's boards."""
        return self._specs

    def epoch(self, at_us: int) -> str:  # noqa: ARG002 - one epoch for ever
        """Return the one driver load."""
        return "boot"

    def board_at(self, index: int, at_us: int, previous_us: int) -> BoardState:  # noqa: ARG002 - always the same
        """Return the one state."""
        return self._state


class CallTimer:
    """Adds up the calls of a driver's functions and the time within them."""

    def __init__(self) -> None:
        self.calls = 0
        self.spent_ns = 0

    def wrap(self, function: Callable[..., int]) -> Callable[..., int]:
        """Return `function` with its time added up."""
        clock = time.perf_counter_ns

        def timed(*arguments: int) -> int:
            started = clock()
            code = function(*arguments)
            self.spent_ns += clock() - started
            self.calls += 1
            return code

        return timed


def read_us(processes: int, *, gauges: bool) -> float:
    """Return the best time of one board's reading in microseconds."""
    clock = VirtualClock(STEP_US)
    driver = SimulatedDriver(SteadyWorld(processes), clock)
    source = NvmlSource(clock=clock, gauges=gauges, epoch=lambda: "boot")
    with driver.install():
        return min(_round(source, clock) for _ in range(ROUNDS))


def _round(source: NvmlSource, clock: VirtualClock) -> float:
    gc.collect()
    started = time.perf_counter()
    for _ in range(READINGS):
        clock.advance_to(clock.now_us() + STEP_US)
        source.read()
    return (time.perf_counter() - started) / READINGS / BOARDS * 1e6


def driver_us(processes: int, *, gauges: bool) -> tuple[float, float]:
    """Return the time within the driver's functions per board in microseconds, and the calls per board."""
    clock, timer = VirtualClock(STEP_US), CallTimer()
    driver = SimulatedDriver(SteadyWorld(processes), clock)
    driver.wrap(timer.wrap)
    source = NvmlSource(clock=clock, gauges=gauges, epoch=lambda: "boot")
    with driver.install():
        source.read()
        spent_ns = []
        for _ in range(ROUNDS):
            timer.calls = timer.spent_ns = 0
            _round(source, clock)
            spent_ns.append(timer.spent_ns)
    return min(spent_ns) / READINGS / BOARDS / 1e3, timer.calls / READINGS / BOARDS


def build_us(processes: int) -> float:
    """Return the time to build one board's reading and nothing else in microseconds: the baseline."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(READINGS):
            NodeReading("boot", "580", tuple([_board(processes) for _ in range(BOARDS)]))
        best = min(best, time.perf_counter() - started)
    return best / READINGS / BOARDS * 1e6


def _board(processes: int) -> BoardReading:
    listed = tuple([ProcessReading(1_000 + number, 8 << 30) for number in range(processes)])
    return BoardReading(
        _DEVICE, energy_mj=10**9, power_mw=350_000, utilization_ppm=800_000, memory_used_bytes=8 << 30, processes=listed
    )


def main() -> None:
    print(f"{BOARDS} boards, {READINGS} readings, best of {ROUNDS}; microseconds per board")
    print(f"{'processes':>9} {'gauges':>7} {'calls':>6} {'read':>7} {'in driver':>10} {'build only':>11} {'ratio':>7}")
    for processes in (0, 1, 4):
        built = build_us(processes)
        for gauges in (True, False):
            read = read_us(processes, gauges=gauges)
            driver, calls = driver_us(processes, gauges=gauges)
            share = f"{driver:.1f} {driver / read:4.0%}"
            print(
                f"{processes:>9} {'yes' if gauges else 'no':>7} {calls:>6.1f} {read:>7.1f} {share:>10} {built:>11.2f} "
                f"{read / built:>6.1f}x"
            )


if __name__ == "__main__":
    main()

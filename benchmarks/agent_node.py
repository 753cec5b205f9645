"""The node that `bench_agent` measures: 8 GPUs with 32 real processes on the simulated driver, in its own process."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.devices.base import BoardReading, NodeReading, ProcessReading
from agent.devices.idle_power import IdlePower
from agent.devices.simulated.driver import simulated_source
from agent.devices.simulated.world import BoardSpec, BoardState, ProcessState
from agent.exporter import Exporter, Vitals
from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses, ProcessFacts, ProcFs
from agent.holders.resolve import HolderResolver
from agent.loop import AgentLoop, LoopSettings
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import Origin, Sealer
from agent.spool import Spool
from benchmarks.bench_agent import GPUS, PROCESSES, SAMPLES, STEP_US, memory_kib
from gpuledger.clock import VirtualClock
from gpuledger.model import Device

START_US: Final = 1_767_225_600_000_000
_POD_UIDS: Final = [f"6f3c1c5e-9a4b-4c8d-8f21-{n:012x}" for n in range(GPUS)]


class Node:
    """Boards that are shared by four processes each."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids

    def boards(self) -> tuple[BoardSpec, ...]:
        """Return eight boards."""
        return tuple(
            BoardSpec(f"GPU-{n:08x}-0000-4000-8000-{n:012x}", "h100-sxm", n, f"00000000:{n + 16:02X}:00.0")
            for n in range(GPUS)
        )

    def epoch(self, _at_us: int) -> str:
        """Return the one driver load that there is."""
        return "load-0"

    def board_at(self, index: int, at_us: int, _previous_us: int) -> BoardState:
        """Return a board whose activity changes from sample to sample."""
        busy = (at_us // STEP_US + index) % 7 * 10
        return BoardState(
            energy_mj=(at_us - START_US) * 3 // 10_000,
            power_mw=300_000,
            utilization_ppm=busy * 10_000,
            memory_used_bytes=40 << 30,
            processes=tuple(ProcessState(pid, 10 << 30, busy * 2_500) for pid in self._pids[index::GPUS]),
        )


class Recorded:
    """A driver that costs nothing: whole boards with one process each, as most are."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._devices = [Device(f"GPU-{n}", "gpu", "NVIDIA H100 80GB HBM3", index=n) for n in range(GPUS)]
        self._processes = [(ProcessReading(n + 1, 10 << 30),) for n in range(GPUS)]

    def read(self) -> NodeReading:
        """Return the reading of this instant."""
        energy_mj = (self._clock.now_us() - START_US) * 3 // 10_000
        boards = tuple(
            [
                BoardReading(device, energy_mj=energy_mj, utilization_ppm=700_000, processes=processes)
                for device, processes in zip(self._devices, self._processes, strict=True)
            ]
        )
        return NodeReading("load-0", "580", boards)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def elapsed_ms(work: Callable[[int], object], clock: VirtualClock, start_us: int, count: int, step_us: int) -> float:
    """Return the CPU time of `work` at one instant, as the mean of `count` a step apart."""
    began = time.process_time()
    for number in range(count):
        clock.advance_to(start_us + number * step_us)
        work(start_us + number * step_us)
    return (time.process_time() - began) * 1e3 / count


def live(spool: Spool, pids: list[int]) -> dict[str, float]:
    """Return what an agent costs that samples every ten seconds and is scraped."""
    clock = VirtualClock(START_US)
    sampling = Sampling(simulated_source(Node(pids), clock))
    resolver = HolderResolver(ProcFs(), InMemoryPods({}), node="n")
    exporter = Exporter("n", "bench", clock, Vitals(spool=spool.stats), interval_us=STEP_US)
    loop = AgentLoop(
        sampling,
        Observer(resolver, node="n", idle_power_mw=IdlePower().mw),
        Sealer(spool, Origin("n", "n", "c", "bench")),
        clock,
        LoopSettings(STEP_US, 3 * STEP_US),
        watcher=exporter,
    )
    elapsed_ms(loop.sample, clock, START_US, 30, STEP_US)  # warm up
    at_us = START_US + 30 * STEP_US
    sample_ms = elapsed_ms(loop.sample, clock, at_us, SAMPLES, STEP_US)
    scrape_ms = elapsed_ms(lambda _: exporter.text(), clock, clock.now_us(), 20, 0)
    series = sum(not line.startswith(b"#") for line in exporter.text().splitlines())
    read_ms = elapsed_ms(sampling.read, clock, at_us + SAMPLES * STEP_US, SAMPLES, STEP_US)
    rss_kib, pss_kib = memory_kib()
    waiting = spool.stats()
    return {
        "rss_kib": rss_kib,
        "pss_kib": pss_kib,
        "sample_ms": sample_ms,
        "driver_ms": read_ms,
        "scrape_ms": scrape_ms,
        "series": series,
        "batch_bytes": waiting.bytes // max(1, waiting.batches),
    }


def history(spool: Spool) -> dict[str, float]:
    """Return what one device-snapshot of history costs beside the driver: all of it, and up to the meter."""
    clock = VirtualClock(START_US)
    source = Recorded(clock)
    cgroups = [f"0::/kubepods/burstable/pod{uid}/{'a1b2c3d4' * 8}" for uid in _POD_UIDS]
    processes = {n + 1: ProcessFacts(n + 1, START_US - 1, cgroup, 0) for n, cgroup in enumerate(cgroups)}
    pods = {uid: PodName("namespace", f"trainer-{n}", ("main",)) for n, uid in enumerate(_POD_UIDS)}
    observer = Observer(HolderResolver(InMemoryProcesses(processes), InMemoryPods(pods), node="n"), node="n")
    sealer = Sealer(spool, Origin("n", "n", "c", "bench"), seal_interval_us=3_600_000_000)
    loop = AgentLoop(Sampling(source), observer, sealer, clock, LoopSettings(60_000_000, 180_000_000))
    elapsed_ms(loop.sample, clock, START_US, 60, 60_000_000)  # warm up
    count, at_us = 20 * SAMPLES, START_US + 60 * 60_000_000
    all_ms = elapsed_ms(loop.sample, clock, at_us, count, 60_000_000)
    read_ms = elapsed_ms(lambda _: source.read(), clock, at_us, count, 60_000_000)
    observe_ms = elapsed_ms(lambda at: observer.observe(source.read(), at), clock, at_us, count, 60_000_000)
    return {
        "history_us": (all_ms - read_ms) * 1e3 / GPUS,
        "observe_us": (observe_ms - read_ms) * 1e3 / GPUS,
    }


def main() -> None:
    """Print the figures as JSON."""
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(PROCESSES)]
    try:
        with tempfile.TemporaryDirectory() as directory:
            with Spool(Path(directory) / "live") as spool:
                figures = live(spool, [child.pid for child in children])
            with Spool(Path(directory) / "history") as spool:
                figures |= history(spool)
    finally:
        for child in children:
            child.kill()
            child.wait()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""Writing `/metrics` with 10,000 series, against plain labelled gauges of prometheus_client that hold the same series.

Both in one process and interleaved, so that a busy machine slows both. The page is the real exporter's: a node of 16
boards cut into seven instances each, held by many pods, metered for an hour. A usual node (8 GPUs, 32 processes) and a
page of DCGM names are timed beside it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.devices.base import BoardHealth, BoardReading, InstanceReading, NodeReading, ProcessReading
from agent.exporter import Exporter
from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses, ProcessFacts
from agent.holders.resolve import HolderResolver
from agent.metrics.exposition import gzipped
from agent.metrics.own import Vitals
from agent.observe import Observer
from gpuledger.accounting.meter import Meter
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.clock import VirtualClock
from gpuledger.model import Device

SERIES: Final = 10_000
SHARERS: Final = 27  # of each instance, so that there are so many series
START_US: Final = 1_767_225_600_000_000
ROUNDS: Final = 15
GOAL: Final = 5  # times as fast
MODEL: Final = "NVIDIA A100-SXM4-80GB"


class Scraped:
    """A node whose exporter has seen `minutes` of readings."""

    def __init__(self, boards: tuple[BoardReading, ...], pids: int, *, dcgm_names: bool = False) -> None:
        self._clock = VirtualClock(START_US)
        uids = [f"6f3c1c5e-9a4b-4c8d-8f21-{pid:012x}" for pid in range(pids)]
        cgroups = [f"0::/kubepods/burstable/pod{uid}/{pid:064x}" for pid, uid in enumerate(uids)]
        pods = {uid: PodName("research", f"trainer-{pid:05d}", ("main",)) for pid, uid in enumerate(uids)}
        table = {pid: ProcessFacts(pid, START_US - 1, cgroup, 0) for pid, cgroup in enumerate(cgroups)}
        self._observer = Observer(HolderResolver(InMemoryProcesses(table), InMemoryPods(pods), node="n"), node="n")
        self._meter = Meter(3 * US_PER_MINUTE)
        self.exporter = Exporter(
            "node-a",
            "bench",
            self._clock,
            Vitals(),
            interval_us=US_PER_MINUTE,
            max_series=100_000,
            dcgm_names=dcgm_names,
        )
        for minute in range(4):
            self.sample(boards, minute)

    def sample(self, boards: tuple[BoardReading, ...], minute: int) -> None:
        """Show the boards as they are at a minute."""
        at_us = START_US + minute * US_PER_MINUTE
        self._clock.advance_to(at_us)
        shown = tuple(board._replace(energy_mj=minute * 24_000_000) for board in boards)
        observation = self._observer.observe(NodeReading("load-0", "580.65.06", shown), at_us)
        self.exporter.observed(observation, lambda: self._observer.holders)
        self.exporter.metered(self._meter.observe(observation.snapshot))


def cut_boards(sharers: int) -> tuple[BoardReading, ...]:
    """Return 16 boards of seven instances each, with so many processes on each instance."""
    pids = iter(range(16 * 7 * sharers))
    return tuple(
        BoardReading(
            Device(f"GPU-{number:04d}", "gpu", MODEL, index=number, memory_bytes=80 << 30),
            mig=True,
            power_mw=300_000,
            temperature_c=60,
            instances=tuple(
                InstanceReading(
                    Device(
                        f"MIG-{number:04d}-{slot}", "mig", MODEL, 120, board=f"GPU-{number:04d}", mig_profile="1g.10gb",
                        index=number, memory_bytes=10 << 30,
                    ),
                    8 << 30,
                    tuple(ProcessReading(next(pids), 1 << 30) for _ in range(sharers)),
                    gpu_instance=slot + 7,
                )
                for slot in range(7)
            ),
        )
        for number in range(16)
    )  # fmt: skip


def usual_boards() -> tuple[BoardReading, ...]:
    """Return 8 whole boards with four processes each."""
    return tuple(
        BoardReading(
            Device(f"GPU-{number:04d}", "gpu", MODEL, index=number, memory_bytes=80 << 30),
            power_mw=300_000,
            utilization_ppm=700_000,
            memory_used_bytes=40 << 30,
            temperature_c=60,
            processes=tuple(ProcessReading(4 * number + n, 10 << 30) for n in range(4)),
            process_activity_ppm={4 * number + n: 150_000 for n in range(4)},
            health=BoardHealth(**dict.fromkeys(BoardHealth._fields, 12_345)),
        )
        for number in range(8)
    )


def as_gauges(page: bytes) -> tuple[CollectorRegistry, int]:
    """Return a registry of plain labelled gauges that hold what the page says, and how many series those are."""
    registry, series = CollectorRegistry(), 0
    for family in text_string_to_metric_families(page.decode()):
        names = list(dict.fromkeys(name for sample in family.samples for name in sample.labels))
        gauge = Gauge(family.samples[0].name, family.documentation, names, registry=registry)
        for sample in family.samples:
            child = gauge.labels(*(sample.labels.get(name, "") for name in names)) if names else gauge
            child.set(sample.value)
            series += 1
    return registry, series


def run() -> dict[str, float]:
    """Return milliseconds of CPU for each way to write a page (best of many, interleaved), and their ratio."""
    large, usual = Scraped(cut_boards(SHARERS), 16 * 7 * SHARERS), Scraped(usual_boards(), 32)
    dcgm = Scraped(usual_boards(), 32, dcgm_names=True)
    registry, series = as_gauges(large.exporter.text())
    if series < SERIES:
        raise SystemExit(f"only {series} series")
    page, openmetrics = large.exporter.text(), lambda: large.exporter.text(openmetrics=True)
    work: dict[str, Callable[[], object]] = {
        "labelled_gauges": lambda: generate_latest(registry),
        "ours": large.exporter.text,
        "ours_openmetrics": openmetrics,
        "gzip": lambda: gzipped(page),
        "usual_node": usual.exporter.text,
        "usual_node_dcgm": dcgm.exporter.text,
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, function in work.items():
            gc.collect()
            began = time.process_time()
            function()
            best[name] = min(best[name], (time.process_time() - began) * 1e3)
    figures: dict[str, float] = {f"{name}_ms": round(ms, 3) for name, ms in best.items()}
    figures |= {"series": series, "page_kib": len(page) // 1024, "gzipped_kib": len(gzipped(page)) // 1024}
    figures["usual_node_series"] = _series(usual.exporter.text())
    figures["usual_node_dcgm_series"] = _series(dcgm.exporter.text())
    figures["times_as_fast"] = round(best["labelled_gauges"] / best["ours"], 1)
    if figures["times_as_fast"] < GOAL:
        raise SystemExit(f"only {figures['times_as_fast']} times as fast, not {GOAL}")
    return figures


def _series(page: bytes) -> int:
    return sum(not line.startswith(b"#") for line in page.splitlines())


if __name__ == "__main__":
    for label, value in run().items():
        print(f"{label:32} {value}")

"""What the page says of the agent itself: its readings, its spool, its deliveries, its own cost."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.devices.base import SamplerStats
from agent.metrics import catalogue
from agent.metrics.family import Filled, Sample
from agent.metrics.labels import labelled
from agent.metrics.samplers import SamplerState
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from gpuledger.accounting.units import US_PER_SECOND

_DEVICES: Final = '{sampler="devices"}'  # what reads the driver as a whole
_STATM: Final = Path("/proc/self/statm")


class ProcessStats(NamedTuple):
    """What the agent's process costs."""

    cpu_s: float
    resident_bytes: int


class ChildFigures(Protocol):
    """What there is to tell of the processes that read the driver, where one of its own does."""

    @property
    def starts(self) -> int:
        """How many were started."""

    @property
    def hangs(self) -> int:
        """How many were killed because the driver did not answer in time."""

    @property
    def crashes(self) -> int:
        """How many ended on their own."""

    @property
    def upgrades(self) -> int:
        """How many were replaced because the driver was."""

    @property
    def abandoned(self) -> int:
        """How many could not be killed and are still there."""


def read_process() -> ProcessStats:
    """Return the CPU time of this process so far, and its resident memory now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident_pages = int(_STATM.read_bytes().split()[1])
    return ProcessStats(usage.ru_utime + usage.ru_stime, resident_pages * os.sysconf("SC_PAGE_SIZE"))


class Vitals:
    """Where the exporter finds the state of the agent's other parts: functions, asked at each scrape.

    `samplers` are those that the driver's readings do not tell of.
    """

    def __init__(
        self,
        *,
        sampling: Callable[[], SamplingStats] = SamplingStats,
        samplers: Callable[[], Iterable[SamplerStats]] = tuple,
        spool: Callable[[], SpoolStats] = lambda: SpoolStats(0, 0, None, 0, 0, 0),
        shipper: Callable[[], ShipperStats] = ShipperStats,
        blocked: Callable[[], bool] = lambda: False,
        lookups_failed: Callable[[], Mapping[str, int]] = dict,
        grants_failed: Callable[[], Mapping[str, int]] = dict,
        child: Callable[[], ChildFigures | None] = lambda: None,
        process: Callable[[], ProcessStats] = read_process,
    ) -> None:
        self.sampling = sampling
        self.samplers = samplers
        self.spool = spool
        self.shipper = shipper
        self.blocked = blocked
        self.lookups_failed = lookups_failed
        self.grants_failed = grants_failed
        self.child = child
        self.process = process


def agent_families(node: str, version: str, driver_version: str) -> list[Filled]:
    """Return who answers, and on what driver; the driver is left out where it was not read."""
    agent = f"{{{labelled(catalogue.AGENT.labels, (node, version))}}}"
    driver = f"{{{labelled(catalogue.DRIVER.labels, (node, driver_version))}}}"
    return [(catalogue.AGENT, [(agent, 1)]), (catalogue.DRIVER, [(driver, 1)] if driver_version else [])]


def sampler_families(
    devices: SamplingStats, samplers: Iterable[SamplerState], *, sample_age_us: int | None, fresh: bool
) -> list[Filled]:
    """Return how each sampler does: reading the driver as a whole, then each family of telemetry.

    Where the last reading is too old nothing that came with it counts as a success.
    """
    success: list[Sample] = [(_DEVICES, int(devices.readings > 0 and not devices.failures_in_a_row and fresh))]
    duration: list[Sample] = [(_DEVICES, devices.duration_s)] if devices.readings else []
    readings: list[Sample] = [(_DEVICES, devices.readings)]
    failures: list[Sample] = [(_DEVICES, devices.failures)]
    for stats, succeeds in samplers:
        block = f"{{{labelled(('sampler',), (stats.name,))}}}"
        success.append((block, int(succeeds)))
        duration += [(block, stats.duration_s)] if stats.successes or stats.failures else []
        readings.append((block, stats.successes))
        failures.append((block, stats.failures))
    return [
        (catalogue.SAMPLER_SUCCESS, success),
        (catalogue.SAMPLER_DURATION, duration),
        (catalogue.SAMPLER_READINGS, readings),
        (catalogue.SAMPLER_FAILURES, failures),
        (catalogue.SAMPLE_AGE, [] if sample_age_us is None else [("", sample_age_us / US_PER_SECOND)]),
    ]


def failure_families(vitals: Vitals) -> list[Filled]:
    """Return what could not be found out about holders."""
    return [
        (family, [(f"{{{labelled(family.labels, (name,))}}}", count) for name, count in counts.items()])
        for family, counts in (
            (catalogue.GRANTS_FAILED, vitals.grants_failed()),
            (catalogue.LOOKUPS_FAILED, vitals.lookups_failed()),
        )
    ]


def delivery_families(vitals: Vitals, now_us: int) -> list[Filled]:
    """Return what waits in the spool and what became of the rest."""
    spool, shipper = vitals.spool(), vitals.shipper()
    oldest_us = spool.oldest_sealed_at_us
    waited_s = 0.0 if oldest_us is None else max(0, now_us - oldest_us) / US_PER_SECOND
    results = {
        "delivered": shipper.delivered - shipper.duplicates,
        "duplicate": shipper.duplicates,
        "refused": shipper.refused,
        "failed": shipper.failures,
    }
    return [
        (catalogue.SPOOL_BATCHES, [("", spool.batches)]),
        (catalogue.SPOOL_BYTES, [("", spool.bytes)]),
        (catalogue.SPOOL_OLDEST, [("", waited_s)]),
        (catalogue.SPOOL_FULL, [("", int(vitals.blocked()))]),
        (catalogue.SPOOL_REFUSED, [("", spool.refused)]),
        (catalogue.SPOOL_DAMAGE, [('{kind="torn"}', spool.torn), ('{kind="corrupt"}', spool.corrupt)]),
        (catalogue.DELIVERIES, [(f'{{result="{result}"}}', count) for result, count in results.items()]),
    ]


def child_families(child: ChildFigures | None) -> list[Filled]:
    """Return how it goes with the processes that read the driver."""
    if child is None:
        return []
    ends = {"hang": child.hangs, "crash": child.crashes, "upgrade": child.upgrades}
    return [
        (catalogue.READER_STARTS, [("", child.starts)]),
        (catalogue.READER_ENDS, [(f'{{reason="{reason}"}}', count) for reason, count in ends.items()]),
        (catalogue.READERS_ABANDONED, [("", child.abandoned)]),
    ]


def process_families(stats: ProcessStats, started_us: int) -> list[Filled]:
    """Return what the agent costs."""
    return [
        (catalogue.CPU, [("", round(stats.cpu_s, 6))]),
        (catalogue.RESIDENT, [("", stats.resident_bytes)]),
        (catalogue.STARTED, [("", started_us / US_PER_SECOND)]),
    ]

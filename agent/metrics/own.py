"""What the page says of the agent itself: its readings, its spool, its deliveries, its own cost."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agent.metrics import catalogue
from agent.metrics.family import Filled
from agent.metrics.labels import labelled
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from gpuledger.accounting.units import US_PER_SECOND

DEVICES: Final = "devices"  # the sampler that reads the driver
_STATM: Final = Path("/proc/self/statm")


class ProcessStats(NamedTuple):
    """What the agent's process costs."""

    cpu_s: float
    resident_bytes: int


def read_process() -> ProcessStats:
    """Return the CPU time of this process so far, and its resident memory now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident_pages = int(_STATM.read_bytes().split()[1])
    return ProcessStats(usage.ru_utime + usage.ru_stime, resident_pages * os.sysconf("SC_PAGE_SIZE"))


class Vitals:
    """Where the exporter finds the state of the agent's other parts: functions, asked at each scrape.

    `samplers` are those beside the one that reads the driver, by name.
    """

    def __init__(
        self,
        *,
        sampling: Callable[[], SamplingStats] = SamplingStats,
        samplers: Callable[[], Mapping[str, SamplingStats]] = dict,
        spool: Callable[[], SpoolStats] = lambda: SpoolStats(0, 0, None, 0, 0, 0),
        shipper: Callable[[], ShipperStats] = ShipperStats,
        blocked: Callable[[], bool] = lambda: False,
        lookups_failed: Callable[[], Mapping[str, int]] = dict,
        process: Callable[[], ProcessStats] = read_process,
    ) -> None:
        self.sampling = sampling
        self.samplers = samplers
        self.spool = spool
        self.shipper = shipper
        self.blocked = blocked
        self.lookups_failed = lookups_failed
        self.process = process

    def all_samplers(self) -> dict[str, SamplingStats]:
        """Return how each sampler does, the one that reads the driver first."""
        return {DEVICES: self.sampling(), **self.samplers()}


def agent_families(node: str, version: str, driver_version: str) -> list[Filled]:
    """Return who answers, and on what driver; the driver is left out where it was not read."""
    agent = f"{{{labelled(catalogue.AGENT.labels, (node, version))}}}"
    driver = f"{{{labelled(catalogue.DRIVER.labels, (node, driver_version))}}}"
    return [(catalogue.AGENT, [(agent, 1)]), (catalogue.DRIVER, [(driver, 1)] if driver_version else [])]


def sampler_families(
    samplers: Mapping[str, SamplingStats],
    lookups_failed: Mapping[str, int],
    *,
    sample_age_us: int | None,
    fresh: bool,
) -> list[Filled]:
    """Return how each sampler does. The driver's counts as failed, too, where its last reading is too old."""
    named = [(f"{{{labelled(('sampler',), (name,))}}}", name, stats) for name, stats in samplers.items()]
    age = [] if sample_age_us is None else [("", sample_age_us / US_PER_SECOND)]
    return [
        (
            catalogue.SAMPLER_SUCCESS,
            [
                (block, int(stats.readings > 0 and not stats.failures_in_a_row and (fresh or name != DEVICES)))
                for block, name, stats in named
            ],
        ),
        (catalogue.SAMPLER_DURATION, [(block, stats.duration_s) for block, _, stats in named if stats.readings]),
        (catalogue.SAMPLER_READINGS, [(block, stats.readings) for block, _, stats in named]),
        (catalogue.SAMPLER_FAILURES, [(block, stats.failures) for block, _, stats in named]),
        (catalogue.SAMPLE_AGE, age),
        (
            catalogue.LOOKUPS_FAILED,
            [(f"{{{labelled(('reason',), (reason,))}}}", n) for reason, n in lookups_failed.items()],
        ),
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


def process_families(stats: ProcessStats, started_us: int) -> list[Filled]:
    """Return what the agent costs."""
    return [
        (catalogue.CPU, [("", round(stats.cpu_s, 6))]),
        (catalogue.RESIDENT, [("", stats.resident_bytes)]),
        (catalogue.STARTED, [("", started_us / US_PER_SECOND)]),
    ]

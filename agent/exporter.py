"""Keeps the latest observation and the running totals, and makes the page of `/metrics` from them when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from agent.dcgm import DcgmNames
from agent.loop import Watcher
from agent.metrics import catalogue
from agent.metrics.ceiling import OTHER, Ceiling
from agent.metrics.devices import device_families
from agent.metrics.exposition import render
from agent.metrics.family import Filled
from agent.metrics.holders import held_family, holder_families, xid_family
from agent.metrics.labels import Blocks
from agent.metrics.own import (
    Vitals,
    agent_families,
    child_families,
    delivery_families,
    failure_families,
    process_families,
    sampler_families,
)
from agent.metrics.samplers import Samplers
from agent.metrics.server import Health, MetricsServer
from agent.observe import Observation
from agent.tallies import Tallies, Xids
from gpuledger.accounting.meter import Metered
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import Clock
from gpuledger.model import Device, Holder

__all__ = ["Exporter", "MetricsServer", "Vitals"]

STALE_INTERVALS: Final = 3
DEFAULT_MAX_SERIES: Final = 20_000
_UNCUT: Final = (catalogue.SERIES_LIMIT, catalogue.SERIES_DROPPED)  # about the ceiling itself
PAIR_SERIES: Final = 4  # that a holder has on a device: its share, and three counters


class Exporter(Watcher):
    """Takes note of samples, and writes the page when it is scraped, in any thread.

    Of `max_series` half may be taken by holders (a share and three counters each); the ceiling holds for the whole
    page.
    """

    def __init__(
        self,
        node: str,
        version: str,
        clock: Clock,
        vitals: Vitals,
        *,
        interval_us: int,
        max_series: int = DEFAULT_MAX_SERIES,
        dcgm_names: bool = False,
    ) -> None:
        self._node = node
        self._version = version
        self._clock = clock
        self._vitals = vitals
        self._stale_us = STALE_INTERVALS * interval_us
        self._dcgm = DcgmNames(node) if dcgm_names else None
        self._max_series = max_series
        self._max_pairs = max(1, max_series // (2 * PAIR_SERIES))
        self._lock = threading.Lock()  # over everything below
        self._started_us = clock.now_us()
        self._observation: Observation | None = None
        self._devices: dict[str, Device] = {}
        self._holders: dict[str, Holder] = {}
        self._tallies = Tallies(self._max_pairs)
        self._xids = Xids()
        self._samplers = Samplers()
        self._other_samplers = Samplers()
        self._blocks = Blocks(node)
        self._ceiling = Ceiling(max_series - len(_UNCUT), node)

    def observed(self, observation: Observation, holders: Callable[[], Mapping[str, Holder]]) -> None:
        """Take note of a reading."""
        with self._lock:
            self._observation = observation
            self._devices.update(observation.devices)
            self._samplers.note(observation.reading.samplers)
            self._xids.add(observation.events)
            self._holders.update(holders())  # those that are known already, too: more may be known of them now

    def metered(self, metered: Metered) -> None:
        """Take note of usage; what is neither present nor counted any more is forgotten."""
        if not metered.records:
            return
        with self._lock:
            self._tallies.add(metered.records, metered.until_us)
            pairs = self._tallies.pairs()
            holders = {holder for (_, holder), _ in pairs}.union(self._present(), (OTHER,))
            self._holders = {key: holder for key, holder in self._holders.items() if key in holders}
            devices = {device for (device, _), _ in pairs}.union(board for board, _ in self._xids.counts)
            present = self._observation.devices if self._observation else {}
            self._devices = {key: known for key, known in self._devices.items() if key in devices or key in present}
            self._blocks.keep(self._devices.keys() | devices, holders)

    def text(self, *, openmetrics: bool = False) -> bytes:
        """Return the page of this instant."""
        return render(self.families(), openmetrics=openmetrics)

    def families(self) -> list[Filled]:
        """Return the families of this instant, within the ceiling."""
        now_us = self._clock.now_us()
        vitals = self._vitals  # asked before the lock: some of them lock, too
        driver, others = vitals.sampling(), tuple(vitals.samplers())
        failures = [*child_families(vitals.child()), *failure_families(vitals)]
        own = [*delivery_families(vitals, now_us), *process_families(vitals.process(), self._started_us)]
        with self._lock:
            self._other_samplers.note(others)
            age_us = self._age_us(now_us)
            fresh = self._is_fresh(age_us)
            of_readings = [state if fresh else state._replace(succeeds=False) for state in self._samplers]
            samplers = sampler_families(
                driver, [*of_readings, *self._other_samplers], sample_age_us=age_us, fresh=fresh
            )
            page = self._ceiling.apply([*self._page(now_us, [*samplers, *failures], fresh=fresh), *own])
            dropped = self._tallies.dropped + self._ceiling.dropped
        about = zip(_UNCUT, (self._max_series, dropped), strict=True)
        return [*page, *((family, [("", float(value))]) for family, value in about)]

    def health(self) -> Health:
        """Return whether the last sample is at most three intervals old, and since when it is."""
        now_us = self._clock.now_us()
        with self._lock:
            observation, age_us = self._observation, self._age_us(now_us)
        ready = self._is_fresh(age_us)
        body = {
            "status": "alive",
            "ready": ready,
            "last_sample": None if observation is None else _instant(observation.snapshot.at_us),
            "last_sample_age_seconds": None if age_us is None else age_us / US_PER_SECOND,
        }
        return Health(ready, msgspec.json.encode(body) + b"\n")

    def _age_us(self, now_us: int) -> int | None:
        return None if self._observation is None else now_us - self._observation.snapshot.at_us

    def _is_fresh(self, age_us: int | None) -> bool:
        return age_us is not None and abs(age_us) <= self._stale_us

    def _present(self) -> Iterator[str]:
        boards = self._observation.snapshot.boards if self._observation else ()
        return (occupant.holder for board in boards for device in board.devices for occupant in device.occupants)

    def _page(self, now_us: int, of_samplers: list[Filled], *, fresh: bool) -> Iterator[Filled]:
        observation = self._observation if fresh else None
        devices, holders, blocks = self._devices, self._holders, self._blocks
        yield from agent_families(self._node, self._version, observation.reading.driver_version if observation else "")
        yield from of_samplers
        yield from device_families(observation, devices, blocks)
        yield held_family(observation, devices, holders, blocks, self._max_pairs)
        yield from holder_families(self._tallies, devices, holders, blocks)
        yield xid_family(self._xids, devices, blocks)
        if self._dcgm is not None and observation is not None:
            yield from self._dcgm.families(observation, holders, self._xids, now_us)


def _instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / US_PER_SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

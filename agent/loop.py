"""The clock-driven loop: on a grid of instants read, observe, meter and seal.

Nothing in it waits for the network: batches go into the spool, and the shipper takes them from there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from agent.observe import Observation, Observer
from agent.sampling import Sampling
from agent.sealer import Sealer
from gpuledger.accounting.meter import Meter, MeterCheckpoint, Metered
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.clock import Clock
from gpuledger.errors import SpoolError
from gpuledger.model import Device, Event, Holder
from gpuledger.wire import MAX_CLOCK_SKEW_US

MAX_GAP_ROWS: Final = 200_000  # of one gap, at a row per device and hour; a longer one is left without records

_log = logging.getLogger(__name__)


class Watcher:
    """What else is told of each sample: the exporter. This one ignores it."""

    def observed(self, observation: Observation, holders: Callable[[], Mapping[str, Holder]]) -> None:
        """Take note of a reading; `holders` returns the facts about whoever it names."""

    def metered(self, metered: Metered) -> None:
        """Take note of what the meter released."""


class LoopSettings(NamedTuple):
    """How often to sample, and from when on a missing sample is a gap."""

    interval_us: int = 10 * US_PER_SECOND
    max_gap_us: int = 30 * US_PER_SECOND


class AgentLoop:
    """Samples a node until it is stopped. `checkpoint` is where an earlier run of this agent left off."""

    def __init__(
        self,
        sampling: Sampling,
        observer: Observer,
        sealer: Sealer,
        clock: Clock,
        settings: LoopSettings = LoopSettings(),  # noqa: B008 - frozen
        *,
        checkpoint: MeterCheckpoint | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._sampling = sampling
        self._observer = observer
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._meter = Meter(settings.max_gap_us, checkpoint)
        self._metered_until_us = checkpoint.at_us if checkpoint else None
        self._behind_since_us: int | None = None  # since when the clock shows less than what was metered
        self._watcher = watcher or Watcher()
        self._devices: dict[str, Device] = {}
        self._page_ended = False  # a batch was sealed since the last reading
        self.blocked = False  # the spool takes no batch: sampling goes on, metering waits
        self.samples = 0

    def run(self, stop: threading.Event, *, from_us: int | None = None, until_us: int | None = None) -> None:
        """Sample every grid instant from `from_us` (or now) up to and including `until_us`, until `stop` is set."""
        next_us = next_on_grid((self._clock.now_us() if from_us is None else from_us) - 1, self._settings.interval_us)
        while until_us is None or next_us <= until_us:
            at_us = self._sleep_until(next_us, stop)
            if stop.is_set():
                return
            self.sample(at_us)
            next_us = next_on_grid(max(at_us, self._clock.now_us()), self._settings.interval_us)

    def sample(self, at_us: int) -> None:
        """Read the node at this instant, and account for the time since the last one."""
        reading = self._sampling.read(at_us)
        if reading is None:
            return
        self.samples += 1
        if self._page_ended:  # not before: one reading may seal twice, and its holders are due after that
            self._observer.turn_page()
            self._page_ended = False
        observation = self._observer.observe(reading, at_us)
        self._watcher.observed(observation, lambda: self._observer.holders)
        self._sealer.add_events(observation.events)
        if not self._may_meter(at_us):
            self._meter.skip()
            return
        self._devices = observation.devices
        self._sealer.add_conditions(reading.boards, at_us)
        self._take(self._meter.observe(observation.snapshot))
        self._metered_until_us = max(at_us, self._metered_until_us or at_us)
        if self._sealer.due:
            self._seal(at_us)

    def note(self, event: Event) -> None:
        """Send an event of the agent itself along with the batch that covers its instant."""
        self._sealer.add_events([event])

    def finish(self) -> bool:
        """Meter up to the last sample and seal all of it; return False where the spool does not take it."""
        if self._metered_until_us is None:
            return True
        if self.blocked and not self._seal(self._clock.now_us()):
            return False
        self._take(self._meter.flush())
        return self._seal(self._clock.now_us())

    def _take(self, metered: Metered) -> None:
        self._sealer.add(metered, self._devices)
        self._watcher.metered(metered)

    def _seal(self, at_us: int) -> bool:
        sealed_at_us = max(at_us, self._metered_until_us or at_us)  # a clock that was set back knows of no later time
        try:
            self._sealer.seal(self._meter.checkpoint(), sealed_at_us, self._devices, self._observer.holders)
        except SpoolError as error:
            if not self.blocked:
                _log.error("metering waits: %s", error)
                self.note(Event(at_us, "spool_full", f"metering waits for the spool: {error.message}", "error"))
            self.blocked = True
            return False
        self._page_ended = True
        if self.blocked:
            _log.warning("the spool takes batches again; the time since it stopped is unobserved")
        self.blocked = False
        return True

    def _may_meter(self, at_us: int) -> bool:
        """Tell whether this sample can be metered, after beginning anew where metering cannot go on as it stands."""
        if self.blocked and not self._seal(at_us):
            return False
        break_us = at_us - (self._metered_until_us or at_us)
        if self._is_far_behind(at_us, break_us):
            event = f"the clock was ahead: for minutes it has shown {-break_us / 1e6:.0f} s less than was metered"
            return self._begin_anew(Event(at_us, "clock_jump", event, "error"))
        if break_us // US_PER_HOUR * self._meter.devices > MAX_GAP_ROWS:
            event = f"nothing was sampled for {break_us / 1e6:.0f} s: too long for records of it"
            return self._begin_anew(Event(at_us, "gap_not_metered", event, "warning"))
        return True

    def _is_far_behind(self, at_us: int, break_us: int) -> bool:
        """Tell whether a clock behind what was metered has gone on so long that it must have been ahead before."""
        if break_us >= 0:
            self._behind_since_us = None
            return False
        if self._behind_since_us is None or at_us < self._behind_since_us:
            self._behind_since_us = at_us
            _log.warning("metering waits: the clock shows %.0f s less than was metered", -break_us / 1e6)
        return at_us - self._behind_since_us >= MAX_CLOCK_SKEW_US

    def _begin_anew(self, event: Event) -> bool:
        """Begin metering anew: what lies between has no records, which the ledger shows as unobserved (no_data)."""
        if not self.finish():
            return False
        _log.warning("%s; metering begins anew", event.message)
        self.note(event)
        self._meter = Meter(self._settings.max_gap_us)
        self._metered_until_us = self._behind_since_us = None
        return True

    def _sleep_until(self, next_us: int, stop: threading.Event) -> int:
        """Return the instant after sleeping, not before `next_us` unless the clock was set back or `stop` is set."""
        while True:
            self._clock.sleep_until(next_us, stop)
            now_us = self._clock.now_us()
            early_us = next_us - now_us
            if early_us <= 0 or early_us > self._settings.interval_us or stop.is_set():
                return now_us


def next_on_grid(after_us: int, interval_us: int) -> int:
    """Return the first multiple of the interval later than `after_us`."""
    return (after_us // interval_us + 1) * interval_us

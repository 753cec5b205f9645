"""Reading the driver again and again: what failed is counted, said once, and tried again after a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from agent.devices.base import DeviceSource, NodeReading
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import DeviceError

MAX_PAUSE_US: Final = US_PER_MINUTE

_log = logging.getLogger(__name__)


class SamplingStats(NamedTuple):
    """How reading goes."""

    readings: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    duration_s: float = 0.0  # of the last reading that succeeded
    last_error: str = ""


class Sampling:
    """A source that is read as long as it answers; one that failed as a whole is left alone for up to a minute."""

    def __init__(self, source: DeviceSource, *, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._source = source
        self._monotonic = monotonic
        self._next_try_us = 0
        self.stats = SamplingStats()

    def read(self, at_us: int) -> NodeReading | None:
        """Return the reading of this instant, or None where the driver did not answer or is left alone for now."""
        if self._next_try_us and 0 < self._next_try_us - at_us <= MAX_PAUSE_US:
            return None
        began = self._monotonic()
        try:
            reading = self._source.read()
        except DeviceError as error:
            self._failed(error, at_us)
            return None
        readings, failures, in_a_row, _, _ = self.stats
        if in_a_row:
            _log.warning("the driver answers again after %d failed readings", in_a_row)
        self._next_try_us = 0
        self.stats = SamplingStats(readings + 1, failures, 0, self._monotonic() - began)
        return reading

    def close(self) -> None:
        """Release the driver."""
        try:
            self._source.close()
        except DeviceError as error:
            _log.warning("the driver could not be released: %s", error)

    def _failed(self, error: DeviceError, at_us: int) -> None:
        in_a_row = self.stats.failures_in_a_row + 1
        if in_a_row == 1:
            _log.error("the driver does not answer, its GPUs are unobserved until it does: %s", error)
        self.stats = self.stats._replace(
            failures=self.stats.failures + 1, failures_in_a_row=in_a_row, last_error=str(error)
        )
        self._next_try_us = at_us + min(MAX_PAUSE_US, US_PER_SECOND * 2 ** min(in_a_row - 1, 10))

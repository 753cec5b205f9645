"""Delivery: sealed batches leave the spool in order, each until the collector has it or has refused it for good.

Runs in a thread of its own, so that no outage of the collector or of the network ever holds up sampling.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from agent.segments import Record
from agent.spool import Spool
from gpuledger.client import BatchReceipt
from gpuledger.errors import DeliveryError, SpoolError, TerminalDeliveryError

# What the collector, by a code of its own, says about one batch. Any other refusal (a wrong address, a missing right, a
# proxy that answers instead) concerns them all: then batches are kept, since an operator can put it right.
REFUSES_THE_BATCH: Final = frozenset({400, 409, 413, 415, 422})
MAX_RETRY_AFTER_S: Final = 600.0

_log = logging.getLogger(__name__)


class Collector(Protocol):
    """What delivers a frame, as `gpuledger.client.CollectorClient` does."""

    def post_batch(self, frame: bytes) -> BatchReceipt:
        """Return the collector's receipt, or raise a DeliveryError."""
        ...


class BackOff(NamedTuple):
    """Exponential back-off with full jitter: after the n-th failure in a row wait a random part of `first * 2**n`."""

    first_s: float = 1.0
    most_s: float = 60.0

    def delay_s(self, failures: int, uniform: Callable[[float, float], float]) -> float:
        """Return how long to wait after `failures` (at least one) in a row."""
        ceiling = min(self.most_s, self.first_s * 2 ** min(failures - 1, 30))
        return uniform(0.0, ceiling)


class ShipperStats(NamedTuple):
    """What has become of batches since the agent started."""

    delivered: int = 0
    duplicates: int = 0
    refused: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_error: str = ""


class Shipper:
    """Sends the spool's batches. `ship_oldest` is one step; `start` repeats it in a thread until `finish`."""

    def __init__(
        self,
        spool: Spool,
        collector: Collector,
        *,
        back_off: BackOff = BackOff(),  # noqa: B008 - frozen
        uniform: Callable[[float, float], float] = random.uniform,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._collector = collector
        self._back_off = back_off
        self._uniform = uniform
        self._monotonic = monotonic
        self._wake = threading.Event()
        self._finishing = threading.Event()
        self._never = threading.Event()
        self._finish_at = 0.0
        self._settled = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self.stats = ShipperStats()

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def notify(self) -> None:
        """Say that a batch was sealed."""
        self._wake.set()

    def wait_until_empty(self, stop: threading.Event) -> bool:
        """Return True once nothing waits in the spool, or False when `stop` is set first."""
        with self._settled:
            while self._spool.stats().batches and not stop.is_set():
                self._settled.wait(0.2)
        return not self._spool.stats().batches

    def finish(self, within_s: float) -> None:
        """Deliver what is possible in `within_s` seconds, then stop; what remains is sent after the next start."""
        self._finish_at = self._monotonic() + within_s
        self._finishing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within_s + 1.0)

    def ship_oldest(self) -> float | None:
        """Try to deliver the oldest batch; return how long to wait before the next try, None where nothing waits."""
        try:
            record = self._spool.oldest()
            return self._ship(record) if record else None
        except SpoolError as error:
            return self._failed(str(error))

    def _ship(self, record: Record) -> float:
        try:
            receipt = self._collector.post_batch(record.frame)
        except TerminalDeliveryError as error:
            if error.code and error.status in REFUSES_THE_BATCH:
                return self._refused(record, error)
            return self._failed(str(error))
        except DeliveryError as error:
            return self._failed(str(error), error.retry_after_s)
        if receipt.sequence != record.sequence:
            return self._failed(f"the collector answered batch {record.sequence} with the receipt of another")
        self._spool.acknowledge(record.sequence)
        self._done(
            self.stats._replace(
                delivered=self.stats.delivered + 1, duplicates=self.stats.duplicates + bool(receipt.duplicate)
            )
        )
        return 0.0

    def _refused(self, record: Record, error: TerminalDeliveryError) -> float:
        kept = self._spool.refuse(record.sequence, str(error))
        _log.error("batch %d was refused for good and is kept in %s: %s", record.sequence, kept, error)
        self._done(self.stats._replace(refused=self.stats.refused + 1))
        return 0.0

    def _done(self, stats: ShipperStats) -> None:
        if stats.failures_in_a_row:
            _log.info("the collector takes batches again after %d failed attempts", stats.failures_in_a_row)
        self.stats = stats._replace(failures_in_a_row=0, last_error="")
        with self._settled:
            self._settled.notify_all()

    def _failed(self, reason: str, retry_after_s: float | None = None) -> float:
        in_a_row = self.stats.failures_in_a_row + 1
        self.stats = self.stats._replace(
            failures=self.stats.failures + 1, failures_in_a_row=in_a_row, last_error=reason
        )
        delay_s = self._back_off.delay_s(in_a_row, self._uniform)
        if retry_after_s is not None:
            delay_s = max(delay_s, min(retry_after_s, MAX_RETRY_AFTER_S))
        if in_a_row == 1 or in_a_row % 20 == 0:
            _log.warning("batches wait in the spool (attempt %d failed, next in %.1f s): %s", in_a_row, delay_s, reason)
        return delay_s

    def _run(self) -> None:
        while not (self._finishing.is_set() and self._monotonic() >= self._finish_at):
            self._wake.clear()
            finishing = self._finishing.is_set()  # before the attempt: one that failed earlier gets one more
            delay_s = self.ship_oldest()
            if delay_s is None:
                if self._finishing.is_set():
                    return
                self._wake.wait()
            elif delay_s:
                self._wait(delay_s, finishing=finishing)

    def _wait(self, delay_s: float, *, finishing: bool) -> None:
        """Wait for the next attempt. Finishing cuts a wait short for one more try, then waits out what time is left."""
        if finishing:
            self._never.wait(min(delay_s, max(0.0, self._finish_at - self._monotonic())))
        else:
            self._finishing.wait(delay_s)

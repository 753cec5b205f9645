"""What works behind the answers to schedulers: figures are read again, and what was said is written to the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from collector.config import AdmissionSettings
from collector.enforcement.figures import Figures, Limiting, read_figures
from collector.enforcement.gate import Mode
from collector.enforcement.gatekeeper import Gatekeeper, Observing
from collector.enforcement.records import Records
from collector.ledger.store import Ledger
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import Clock
from gpuledger.errors import GpuLedgerError

WRITE_S: Final = 1.0  # answers of a second share a transaction
_log: Final = logging.getLogger(__name__)


class Admission:
    """The gatekeeper of a collector, its figures and its records."""

    def __init__(
        self,
        ledger: Ledger,
        settings: AdmissionSettings,
        clock: Clock,
        observing: Observing,
        limiting: Callable[[], Limiting] = Limiting,
    ) -> None:
        self.settings = settings
        self.records = Records(ledger, settings.queue)
        self.gatekeeper = Gatekeeper(settings, clock, self.records, observing)
        self._ledger = ledger
        self._limiting = limiting
        self._clock = clock

    @property
    def age_s(self) -> float | None:
        """Return how old the figures are; None before the first."""
        figures = self.gatekeeper.figures
        return None if figures is None else (self._clock.now_us() - figures.made_us) / US_PER_SECOND

    def refresh(self, read: Callable[[Ledger], Figures] = read_figures) -> None:
        """Read the figures; they are as old as what is oldest in them. Slow: not for the event loop."""
        figures = read(self._ledger)
        limits, known, as_of_us = self._limiting()
        made_us = figures.made_us if as_of_us is None else min(figures.made_us, as_of_us)
        self.gatekeeper.figures = figures._replace(made_us=made_us, limits=limits, known=known)

    async def work(self) -> None:
        """Refresh and write, until it is cancelled; a failure is told and tried again."""
        if self.gatekeeper.mode is not Mode.OFF:
            await asyncio.gather(
                _again(self.refresh, self.settings.refresh_s, "the figures of admission"),
                _again(self.records.write, WRITE_S, "answers to schedulers"),
            )


async def _again(act: Callable[[], object], every_s: float, what: str) -> None:
    while True:
        try:
            await asyncio.to_thread(act)
        except GpuLedgerError as error:
            _log.error("%s: %s", what, error)
        await asyncio.sleep(every_s)

"""Requests whose time is over are put on record while the collector runs; they expire without that too."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from collector.governance.requests import note_expired
from collector.governance.stored import load_requests
from collector.ledger.store import Ledger
from gpuledger.errors import LedgerError
from gpuledger.rules.requests import State, What, standing

EVERY_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


async def watch_requests(ledger: Ledger, every_s: float = EVERY_S) -> None:
    """Look every `every_s` seconds, for ever."""
    while True:
        try:
            await asyncio.to_thread(note_all, ledger)
        except LedgerError as error:
            _log.error("expired requests are not on record yet: %s", error)
        await asyncio.sleep(every_s)


def note_all(ledger: Ledger) -> int:
    """Put what expired on record; return how many there were. Without any, nobody waits for a transaction."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        known = [each.request for each in load_requests(session)]
    if not any(r.steps[-1].what is not What.EXPIRED and standing(r, now_us).state is State.EXPIRED for r in known):
        return 0
    with ledger.transaction() as session:
        return note_expired(session, now_us)

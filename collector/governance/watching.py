"""Requests whose time is over are put on record while the collector runs; they expire without that too."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from collector.governance.requests import lapsed, note_expired
from collector.ledger.store import Ledger
from gpuledger.errors import LedgerError

EVERY_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


async def watch_requests(ledger: Ledger, every_s: float = EVERY_S) -> None:
    """Look every `every_s` seconds, for ever: at all requests first, then at those whose time ended since."""
    since_us = 0
    while True:
        try:
            since_us = await asyncio.to_thread(note_lapsed, ledger, since_us)
        except LedgerError as error:
            _log.error("expired requests are not on record yet: %s", error)
        await asyncio.sleep(every_s)


def note_lapsed(ledger: Ledger, since_us: int = 0) -> int:
    """Put on record what expired from `since_us` on; return until when. Without any, nobody waits for a transaction."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        found = lapsed(session, now_us, since_us)
    if found:
        with ledger.transaction() as session:
            note_expired(session, now_us, since_us)
    return now_us

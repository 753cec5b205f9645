"""What is looked at again and again while the collector runs: requests whose time is over, budgets, and quotas.

Requests expire without that too. Stages are recorded late without it, but no other ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from collector.governance.budgets import BudgetWatch
from collector.governance.quota_stages import QuotaWatch
from collector.governance.requests import lapsed, note_expired
from collector.governance.telling import Teller
from collector.ledger.store import Ledger
from gpuledger.errors import GpuLedgerError, LedgerError

EVERY_S: Final = 60.0
BUDGETS_EVERY_S: Final = 300.0
TELL_EVERY_S: Final = 15.0
QUOTAS_EVERY_S: Final = 60.0
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


async def watch_budgets(
    ledger: Ledger,
    rate: Callable[[], object],
    watch: BudgetWatch,
    teller: Teller,
    *,
    every_s: float = BUDGETS_EVERY_S,
    tell_every_s: float = TELL_EVERY_S,
) -> None:
    """Evaluate budgets every `every_s` seconds, for ever, and in between tell people what is due.

    Nothing is rated for a ledger without budgets.
    """
    left_s = 0.0
    while True:
        try:
            if left_s <= 0:
                left_s = every_s
                await asyncio.to_thread(_look, ledger, rate, watch)
            await asyncio.to_thread(teller.round)
        except GpuLedgerError as error:
            _log.error("budgets are not evaluated for now: %s", error)
        await asyncio.sleep(tell_every_s)
        left_s -= tell_every_s


def _look(ledger: Ledger, rate: Callable[[], object], watch: BudgetWatch) -> None:
    if ledger.execute("budget_newest").num_rows:
        rate()
        watch.look()


async def watch_quotas(
    ledger: Ledger, rate: Callable[[], object], watch: QuotaWatch, every_s: float = QUOTAS_EVERY_S
) -> None:
    """Look at quotas every `every_s` seconds, for ever. Nothing is rated for a ledger without quotas."""
    while True:
        try:
            await asyncio.to_thread(look_at_quotas, ledger, rate, watch)
        except GpuLedgerError as error:
            _log.error("quotas are not looked at for now: %s", error)
        await asyncio.sleep(every_s)


def look_at_quotas(ledger: Ledger, rate: Callable[[], object], watch: QuotaWatch) -> None:
    """Rate what waits, where there are quotas, and look at them."""
    if ledger.execute("quota_newest").num_rows:
        rate()
    watch.look()

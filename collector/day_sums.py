"""Sums of days: charges of days that are over, summed beside them, so that a month is read as days and not as hours.

They follow from charges, and hold nothing else: the transaction that rates an hour anew takes away the sums of its day,
and they are made again when nothing of the day waits. An answer is the same with and without them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import LedgerError

SETTLE_US: Final = 2 * US_PER_HOUR  # what comes late comes within that, mostly: a day is not summed again and again
DAYS_AT_ONCE: Final = 4
EVERY_S: Final = 60.0
BETWEEN_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


def sum_days(ledger: Ledger, *, most: int = DAYS_AT_ONCE) -> int:
    """Sum up to `most` days that are over and not summed, the newest first, each in a transaction; return how many."""
    wanted = {"day_us": US_PER_DAY, "settle_us": SETTLE_US, "most": most}
    done = 0
    for day_us in ledger.execute("days_to_sum", wanted)["day_us"].to_pylist():
        with ledger.transaction() as session:
            still = session.execute("days_to_sum", {**wanted, "most": 1_000_000})["day_us"].to_pylist()
            if day_us in still:  # nothing of it was received meanwhile
                session.execute("days_insert", {"from_us": day_us, "to_us": day_us + US_PER_DAY})
                session.execute("days_mark", {"from_us": day_us})
                done += 1
    return done


def forget_days(session: Session, rated: pa.Table, first_and_last: dict[str, Any]) -> None:
    """Take away the sums of days in which hours (`rated`) get other charges, in the transaction that gives them."""
    days = {"day_us": US_PER_DAY}
    if session.execute("days_unmark", days, {"rate_pass": rated})["count"][0].as_py():
        session.execute("days_forget", {**first_and_last, **days}, {"rate_pass": rated})


async def keep_days_summed(ledger: Ledger, every_s: float = EVERY_S, between_s: float = BETWEEN_S) -> None:
    """Sum what there is to sum every `every_s` seconds, for ever, and let others write in between."""
    while True:
        done = 0
        try:
            done = await asyncio.to_thread(sum_days, ledger)
        except LedgerError as error:
            _log.error("days are not summed for now, answers read their hours: %s", error)
        await asyncio.sleep(between_s if done else every_s)

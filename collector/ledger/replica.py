"""Replicas: a ledger that knows no more than another one knew, made from what that one has recorded.

Facts, books and closed bills are copied as far as they were known; roll-up, lives and charges are made again by the
code that makes them in any ledger. So a replica is not told what the answer was: it finds it.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from collector.ledger.database import FILE, connect
from collector.ledger.posting import write_lives
from collector.ledger.state import State
from collector.ledger.store import Ledger
from gpuledger.clock import VirtualClock
from gpuledger.errors import LedgerError

SCRIPT: Final = Path(__file__).with_suffix(".sql")
PREFIX: Final = ".replica-"
_EVER: Final = {"first_hour_us": 0, "last_hour_us": 2**62}
_only_one: Final = threading.Lock()  # of this process, which alone may open the ledger


class Known(NamedTuple):
    """The last of each kind that a replica knows (0: none), and what its clock says."""

    batch_id: int
    price_version: int
    owner_version: int
    directory_version: int
    carbon_version: int
    share_version: int
    policy_version: int
    period_id: int
    at_us: int


def known_at(ledger: Ledger, at_us: int) -> Known:
    """Return what a ledger knew at an instant."""
    [row] = ledger.execute("replica_known_at", {"at_us": at_us}).to_pylist()
    return Known(**row)


@contextmanager
def replica(ledger: Ledger, known: Known) -> Iterator[Ledger]:
    """Give a ledger of its own that knows no more than `known`, nothing of it rated; it is gone afterwards.

    It lies beside the ledger and takes as much of its disk again. Raises LedgerError where another is there already.
    """
    if not _only_one.acquire(blocking=False):
        raise LedgerError("a replica of the ledger is in use already", hint="ask again when that question is answered")
    try:
        for left in ledger.directory.glob(f"{PREFIX}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=ledger.directory) as name:
            folder = Path(name)
            ledger.copy_to(folder / FILE)
            _forget(folder, known)
            with Ledger.open(folder, clock=VirtualClock(known.at_us)) as found:
                yield found
    finally:
        _only_one.release()


def _forget(folder: Path, known: Known) -> None:
    session = connect(folder, read_only=False, threads=2)
    try:
        with session.transaction():
            session.execute("replica_known", known._asdict())
            session.script(SCRIPT.read_text(encoding="utf-8"), label=SCRIPT.name)
            session.execute("merge_usage_hourly", _EVER)
            state = State(session)
            write_lives(session, {key: life for place in state.versions for key, life in state.relive(place).items()})
    finally:
        session.close()

"""A ledger inside a transaction that is open already: what is done to it commits, or is undone, with that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collector.ledger.database import Session
from collector.ledger.store import Ledger


class JoinedLedger(Ledger):
    """The ledger of one transaction. It takes books and is rated and asked like any other.

    Other writers wait until the transaction is over; readers see the ledger as it was before.
    """

    def __init__(self, real: Ledger, session: Session) -> None:
        self._real = real
        self._session = session
        self.directory = real.directory
        self.read_only = real.read_only
        self._calendar = real.calendar

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give the session of the transaction."""
        yield self._session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give the same: what is written stays if the transaction does."""
        yield self._session

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile."""
        yield

    def now_us(self) -> int:
        """Return the collector's clock."""
        return self._real.now_us()

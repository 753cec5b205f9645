"""A ledger on trial: whatever is done to it is seen by what asks it, and by nobody else, and is undone at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from collector.ledger.database import Session
from collector.ledger.store import Ledger


class TrialLedger(Ledger):
    """The ledger of one transaction that never commits. It takes books and is rated and asked like any other.

    Other writers wait until it is over; readers see the ledger as it is.
    """

    def __init__(self, real: Ledger, session: Session) -> None:
        self._real = real
        self._session = session
        self.directory = real.directory
        self.read_only = real.read_only
        self._calendar = real.calendar

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give the session of the trial."""
        yield self._session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give the same: what is written stays until the trial ends, and no longer."""
        yield self._session

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes during a trial."""
        yield

    def now_us(self) -> int:
        """Return the collector's clock."""
        return self._real.now_us()


class _OverError(Exception):
    """Ends a trial: the transaction rolls back."""


@contextmanager
def trial(ledger: Ledger) -> Iterator[TrialLedger]:
    """Give a ledger whose changes are undone at the end, however it ends."""
    with suppress(_OverError), ledger.transaction() as session:
        yield TrialLedger(ledger, session)
        raise _OverError

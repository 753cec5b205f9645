"""A ledger on trial: whatever is done to it is seen by what asks it, and by nobody else, and is undone at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from collector.ledger.joined import JoinedLedger
from collector.ledger.store import Ledger


class _OverError(Exception):
    """Ends a trial: the transaction rolls back."""


@contextmanager
def trial(ledger: Ledger) -> Iterator[JoinedLedger]:
    """Give a ledger whose changes are undone at the end, however it ends."""
    with suppress(_OverError), ledger.transaction() as session:
        yield JoinedLedger(ledger, session)
        raise _OverError

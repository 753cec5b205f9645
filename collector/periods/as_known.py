"""A ledger as it was known at an instant: what had been received, imported and closed by then, rated again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collector.ledger.replica import known_at, replica
from collector.ledger.store import Ledger
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.errors import ConfigError


@contextmanager
def as_known(ledger: Ledger, at_us: int) -> Iterator[Ledger]:
    """Give a rated ledger that knows what `ledger` knew at `at_us`; raises ConfigError where that is yet to come."""
    if at_us > ledger.now_us():
        raise ConfigError(f"what is known at {iso(at_us)} is not known yet", hint="name an instant that has passed")
    with replica(ledger, known_at(ledger, at_us)) as found:
        rate_dirty(found)
        yield found

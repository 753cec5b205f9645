"""Slices of a period: what goes over every charge of one goes over so much at once, whatever the period's length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collector.ledger.database import Session
from gpuledger.accounting.intervals import Interval, cut
from gpuledger.accounting.units import US_PER_HOUR

DEVICE_HOURS: Final = 500_000  # two days of 10,000 devices: a few hundred megabytes of rows, names and sums


def slices(session: Session, from_us: int, to_us: int) -> Iterator[Interval]:
    """Yield `[from_us, to_us)`, both on the hour, cut on the hour into parts of at most so many device-hours."""
    devices = session.execute("count_devices").to_pylist()[0]["devices"]
    hours = max(1, DEVICE_HOURS // max(1, devices))
    return cut(from_us, to_us, hours * US_PER_HOUR)

"""Running totals for `/metrics`: what each holder had of each device since the agent started, within a hard ceiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final

import msgspec

from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import HELD_STATES, Event, UsageRecord

OTHER: Final = "other"  # where the totals of holders beyond the ceiling go, so that sums stay right
DEFAULT_MAX_PAIRS: Final = 2_000
RETENTION_US: Final = US_PER_HOUR  # how long a holder that has left is still shown


class Tally(msgspec.Struct):
    """What one holder had of one device. None: never known, which is not 0."""

    held_us: int = 0
    active_us: int | None = None
    energy_mj: int | None = None
    last_us: int = 0


class Tallies:
    """Totals by device and holder; the least recently changed give way, their totals going to the device's `other`."""

    def __init__(self, max_pairs: int = DEFAULT_MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._pairs: dict[tuple[str, str], Tally] = {}  # least recently changed first
        self.xids: Counter[tuple[str, str]] = Counter()  # by board and code
        self.dropped = 0  # pairs that gave way

    def add(self, records: Iterable[UsageRecord], until_us: int) -> None:
        """Count released usage, and forget the holders that left long before `until_us`."""
        for record in records:
            if record.holder is not None and record.state in HELD_STATES:
                self._grow((record.device, record.holder), record)
        for pair in self._outdated(until_us - RETENTION_US):
            del self._pairs[pair]
        while len(self._pairs) > self._max_pairs and self._give_way():
            self.dropped += 1

    def add_events(self, events: Iterable[Event]) -> None:
        """Count the XIDs among the events."""
        for event in events:
            if event.kind == "xid":
                self.xids[event.device, event.details.get("xid", "999")] += 1

    def pairs(self) -> list[tuple[str, str, Tally]]:
        """Return device, holder and totals of everything that is kept."""
        return [(device, holder, tally) for (device, holder), tally in list(self._pairs.items())]

    def _outdated(self, before_us: int) -> list[tuple[str, str]]:
        return list(takewhile(lambda pair: self._pairs[pair].last_us < before_us, self._named()))

    def _named(self) -> Iterator[tuple[str, str]]:
        return (pair for pair in self._pairs if pair[1] != OTHER)

    def _grow(self, pair: tuple[str, str], record: UsageRecord) -> None:
        tally = self._pairs.pop(pair, None) or Tally()
        tally.held_us += record.held_us
        tally.active_us = _plus(tally.active_us, record.active_us)
        tally.energy_mj = _plus(tally.energy_mj, record.energy_mj)
        tally.last_us = record.end_us
        self._pairs[pair] = tally

    def _give_way(self) -> bool:
        pair = next(self._named(), None)
        if pair is None:
            return False
        gone = self._pairs.pop(pair)
        other = self._pairs.pop((pair[0], OTHER), None) or Tally()
        other.held_us += gone.held_us
        other.active_us = _plus(other.active_us, gone.active_us)
        other.energy_mj = _plus(other.energy_mj, gone.energy_mj)
        other.last_us = max(other.last_us, gone.last_us)
        self._pairs[pair[0], OTHER] = other
        return True


def _plus(total: int | None, more: int | None) -> int | None:
    return total if more is None else (total or 0) + more

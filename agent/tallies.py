"""Running totals for `/metrics`: what each holder had of each device since the agent started, within a hard ceiling."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import ItemsView, Iterable
from typing import Final

import msgspec

from agent.metrics.ceiling import OTHER
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import HELD_STATES, Event, UsageRecord

DEFAULT_MAX_PAIRS: Final = 2_500
MAX_XIDS: Final = 1_000  # boards times codes; more are counted together
XID_WINDOW_US: Final = 5 * US_PER_MINUTE
RETENTION_US: Final = US_PER_HOUR  # how long a holder that has left is still shown


class Tally(msgspec.Struct):
    """What one holder had of one device. None: never known, which is not 0."""

    held_us: int = 0
    active_us: int | None = None
    energy_mj: int | None = None
    last_us: int = 0

    def add(self, held_us: int, active_us: int | None, energy_mj: int | None, last_us: int) -> None:
        """Add what was released until `last_us`."""
        self.held_us += held_us
        self.active_us = _plus(self.active_us, active_us)
        self.energy_mj = _plus(self.energy_mj, energy_mj)
        self.last_us = max(self.last_us, last_us)


class Tallies:
    """Totals by device and holder, in order of arrival.

    Beyond the ceiling who left gives way first, then who came last; their totals go to the device's `other`.
    """

    def __init__(self, max_pairs: int = DEFAULT_MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._pairs: dict[tuple[str, str], Tally] = {}
        self.dropped = 0  # pairs that gave way

    def add(self, records: Iterable[UsageRecord], until_us: int) -> None:
        """Count released usage, and forget the holders that left long before `until_us`."""
        for record in records:
            if record.holder is not None and record.state in HELD_STATES:
                tally = self._of(record.device, record.holder)
                tally.add(record.held_us, record.active_us, record.energy_mj, record.end_us)
        outdated_us = until_us - RETENTION_US
        for pair in [pair for pair, tally in self._pairs.items() if tally.last_us < outdated_us]:
            del self._pairs[pair]
        if len(self._pairs) > self._max_pairs:
            self._make_room()

    def pairs(self) -> ItemsView[tuple[str, str], Tally]:
        """Return device and holder with their totals."""
        return self._pairs.items()

    def _of(self, device: str, holder: str) -> Tally:
        tally = self._pairs.get((device, holder))
        if tally is None:
            tally = self._pairs[device, holder] = Tally()
        return tally

    def _make_room(self) -> None:
        named = [(tally.last_us, -order, pair) for order, (pair, tally) in enumerate(self._pairs.items())]
        for _, _, pair in sorted(entry for entry in named if entry[2][1] != OTHER):
            if len(self._pairs) <= self._max_pairs:
                return
            gone = self._pairs.pop(pair)
            self._of(pair[0], OTHER).add(gone.held_us, gone.active_us, gone.energy_mj, gone.last_us)
            self.dropped += 1


class Xids:
    """XIDs by board and code since the agent started, and the latest ones."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.classes: dict[str, str] = {}  # by code: whose fault it is
        self.last: dict[str, str] = {}  # code by board
        self._recent: deque[tuple[int, str, str]] = deque(maxlen=MAX_XIDS)  # when, board, code

    def add(self, events: Iterable[Event]) -> None:
        """Count the XIDs among the events."""
        for event in events:
            if event.kind == "xid":
                board, code = event.device, event.details.get("xid", "999")
                known = (board, code) in self.counts or len(self.counts) < MAX_XIDS
                self.counts[board, code if known else OTHER] += 1
                if known:
                    self.classes[code] = event.details.get("class", "")
                self.last[board] = code
                self._recent.append((event.at_us, board, code))

    def recent(self, now_us: int) -> Counter[tuple[str, str]]:
        """Return how many of each board and code there were in the last five minutes."""
        return Counter((board, code) for at_us, board, code in self._recent if now_us - at_us <= XID_WINDOW_US)


def _plus(total: int | None, more: int | None) -> int | None:
    return total if more is None else (total or 0) + more

"""Events that may come very often: the first is recorded at once, the rest of a window as one event with their number.

So the audit log misses nobody, and nobody can fill it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from collector.audit.canonical import Value
from collector.audit.events import Act
from collector.audit.log import append
from collector.ledger.store import Ledger
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import Clock

OTHERS: Final = "others"  # those beyond the most keys of a window


class _Key(NamedTuple):
    act: str
    actor: str
    subject: str


class Tally:
    """Records acts of a ledger, at most about twice `most` of them in a window of `window_s` seconds."""

    def __init__(self, ledger: Ledger, clock: Clock, *, window_s: int, most: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._window_us = window_s * US_PER_SECOND
        self._most = most
        self._began_us = clock.now_us()
        self._again: dict[_Key, int] = {}  # how often each came again since it was recorded
        self._one = threading.Lock()

    def note(self, act: str, actor: str, subject: str, details: Mapping[str, Value]) -> None:
        """Record an act, or count it where its like was recorded in this window already. Slow: not for the loop."""
        key = _Key(act, actor, subject)
        with self._one:
            now_us = self._clock.now_us()
            acts = self._closed_window(now_us)
            if key in self._again:
                self._again[key] += 1
            elif len(self._again) < self._most:
                self._again[key] = 0
                acts.append(Act(act, actor, subject, details))
            else:
                rest = _Key(act, OTHERS, "")
                self._again[rest] = self._again.get(rest, 0) + 1
            self._write(acts)

    def flush(self) -> None:
        """Record what was counted and not said yet."""
        with self._one:
            self._write(self._summary())
            self._again = {}

    def _closed_window(self, now_us: int) -> list[Act]:
        if 0 <= now_us - self._began_us < self._window_us:
            return []
        said, self._again, self._began_us = self._summary(), {}, now_us
        return said

    def _summary(self) -> list[Act]:
        return [Act(k.act, k.actor, k.subject, {"again": count}) for k, count in self._again.items() if count]

    def _write(self, acts: list[Act]) -> None:
        if acts:
            with self._ledger.transaction() as session:
                append(session, self._ledger.now_us(), acts)

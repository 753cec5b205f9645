"""How often somebody may ask: token buckets in memory, one for each, the least used forgotten first."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_KEPT: Final = 10_000


class Buckets:
    """A bucket for each key: it holds `burst`, and is filled with `per_second`."""

    def __init__(self, per_second: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was
        self._one = threading.Lock()

    def take(self, key: str) -> int:
        """Take one from the bucket of a key; return 0, or (where it is empty) in how many seconds to come back."""
        with self._one:
            now = self._monotonic()
            left, since = self._levels.pop(key, (float(self._burst), now))
            left = min(float(self._burst), left + (now - since) * self._per_second)
            enough = left >= 1
            self._levels[key] = (left - 1 if enough else left, now)
            if len(self._levels) > MOST_KEPT:
                self._levels.popitem(last=False)
            return 0 if enough else math.ceil((1 - left) / self._per_second)

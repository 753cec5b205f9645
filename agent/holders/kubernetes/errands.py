"""Single requests to the API server, made one after another by a thread of their own and never faster than allowed."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable
from typing import Final

from gpuledger.errors import GpuLedgerError

_MAX_WAITING: Final = 1_000

_log = logging.getLogger(__name__)


class Errands:
    """Runs what it is given, each thing once at a time, at most `per_second` in a second."""

    def __init__(self, *, per_second: float = 5.0) -> None:
        self._pause_s = 1.0 / per_second
        self._waiting: queue.SimpleQueue[tuple[Hashable, Callable[[], None]]] = queue.SimpleQueue()
        self._known: set[Hashable] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.done = 0
        self.refused = 0  # because too many wait

    def ask(self, name: Hashable, errand: Callable[[], None]) -> None:
        """Have `errand` run soon, unless one of that name waits or runs. Never waits itself."""
        if name in self._known or self._stop.is_set():
            return
        if len(self._known) >= _MAX_WAITING:
            self.refused += 1
            return
        self._known.add(name)
        self._waiting.put((name, errand))
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="kubernetes-errands", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop; what waits is forgotten."""
        self._stop.set()
        self._waiting.put(("", _nothing))  # wakes the thread

    def _run(self) -> None:
        while True:
            name, errand = self._waiting.get()
            if self._stop.is_set():
                return
            try:
                errand()
            except GpuLedgerError as error:
                _log.warning("a request to the API server failed: %s", error)
            finally:
                self._known.discard(name)
                self.done += 1
            self._stop.wait(self._pause_s)


def _nothing() -> None:
    """Do nothing."""

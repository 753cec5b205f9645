"""The pods of this node from the API server: one list, then a watch that goes on from it, in a thread of its own.

Metadata only, this node only, running pods only. A watch ends every few minutes and goes on at the version it had
reached (bookmarks keep that recent); where the server no longer has that version the pods are listed again.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from agent.holders.kubernetes.api import METADATA_LIST, ApiError, ApiServer, Watch
from agent.holders.kubernetes.metadata import ObjectMeta, PartialObjectList, pod_metadata
from agent.holders.kubernetes.pod_store import PodStore

PODS: Final = "/api/v1/pods"

_WATCH_S: Final = 240.0  # how long the server is asked to keep a watch open; up to half as long again
_SHORTEST_WATCH_S: Final = 1.0
_GRACE_S: Final = 15.0  # how long after that it may still be silent
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_ANY_VERSION: Final = "0"  # whatever the server has at hand: no load on its database
_NEWEST_VERSION: Final = ""
_OUT_OF_REACH: Final = frozenset({410, 504})  # a version that the server has no more, or not yet (a restored database)

_log = logging.getLogger(__name__)


class _Status(msgspec.Struct, frozen=True):
    """The object of an ERROR event, or of another event, whichever it is."""

    code: int = 0
    message: str = ""
    metadata: ObjectMeta = ObjectMeta()


class _WatchEvent(msgspec.Struct, frozen=True):
    type: str = ""
    object: _Status = _Status()


_EVENT: Final = msgspec.json.Decoder(_WatchEvent)
_LIST: Final = msgspec.json.Decoder(PartialObjectList)


class PodWatch:
    """Keeps a PodStore up to date until it is closed."""

    def __init__(
        self,
        api: ApiServer,
        node: str,
        store: PodStore,
        *,
        watch_s: float = _WATCH_S,
        first_pause_s: float = _FIRST_PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._selector = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
        self._store = store
        self._watch_s = watch_s
        self._first_pause_s = first_pause_s
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stream: Watch | None = None
        self._next_list_from = _ANY_VERSION
        self._reached: str | None = None  # None: list first
        self._last_contact: float | None = None
        self._failures = 0
        self._brief = False  # the last watch ended as soon as it had begun
        self.lists = 0
        self.watches = 0
        self.error: ApiError | None = None  # why it does not work now

    def start(self) -> None:
        """Start the thread, or start it anew where it has died of what nobody foresaw."""
        if self._thread is not None and (self._thread.is_alive() or self._stop.is_set()):
            return
        self._thread = threading.Thread(target=self._run, name="kubernetes-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch and its thread."""
        self._stop.set()
        if self._stream is not None:
            self._stream.stop()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def silent_s(self) -> float | None:
        """Return for how long nothing is known of the pods: 0 while a watch is open, None before the first list."""
        if self._last_contact is None:
            return None
        return 0.0 if self._stream is not None else self._monotonic() - self._last_contact

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except ApiError as error:
                if self._stop.is_set():
                    return
                self._failed(error)
                self._stop.wait(self._pause_s())

    def _step(self) -> None:
        """List the pods, if need be, then watch until the server ends it."""
        if self._reached is None:
            self._reached = self._list()
        self._reached = self._follow(self._reached)
        if self._brief:
            self._stop.wait(self._pause_s())  # a server that ends every watch at once is not asked without pause

    def _failed(self, error: ApiError) -> None:
        if error.status in _OUT_OF_REACH:
            self._next_list_from = _NEWEST_VERSION if self._reached is None else self._reached
            self._reached = None
        self._failures += 1
        if self._failures == 1 and self._last_contact is not None:
            _log.info("the watch of pods begins anew: %s", error.message)
            return  # as happens to any watch now and then: the next one tells
        if self.error is None:
            _log.warning("the pods of this node are not known from the API server: %s", error)
        self.error = error

    def _pause_s(self) -> float:
        """Return how long to wait: longer with each failure, and never all agents at once."""
        most_s = min(_LONGEST_PAUSE_S, self._first_pause_s * float(2 ** min(max(0, self._failures - 1), 16)))
        return most_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret

    def _succeeded(self) -> None:
        if self.error is not None:
            _log.info("the API server answers again")
        self.error = None
        self._last_contact = self._monotonic()

    def _list(self) -> str:
        parameters = {"fieldSelector": self._selector, "resourceVersion": self._next_list_from}
        body = self._api.get(PODS, parameters, accept=METADATA_LIST)
        try:
            listed = _LIST.decode(body)
        except msgspec.DecodeError as error:
            raise ApiError(f"the list of pods cannot be read: {error}") from error
        self._store.replace(pod_metadata(item.metadata) for item in listed.items)
        self.lists += 1
        self._succeeded()
        return listed.metadata.resource_version

    def _follow(self, version: str) -> str:
        """Watch from `version` on; return the version reached when the server ends the watch."""
        for_s = self._watch_s * random.uniform(1.0, 1.5)  # noqa: S311 - spreads load, keeps no secret
        parameters = {
            "fieldSelector": self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(for_s))),
        }
        with self._api.watch(PODS, parameters, timeout_s=for_s + _GRACE_S) as stream, self._streaming(stream):
            self._succeeded()
            self.watches += 1
            for line in stream:
                self._reached = self._take(line) or self._reached
                self._failures = 0
        return self._reached or version

    @contextlib.contextmanager
    def _streaming(self, stream: Watch) -> Iterator[None]:
        self._stream = stream
        began = self._monotonic()
        try:
            if self._stop.is_set():
                stream.stop()
            yield
        finally:
            self._last_contact = now = self._monotonic()
            self._brief = now - began < _SHORTEST_WATCH_S
            if not self._brief:
                self._failures = 0
            self._stream = None

    def _take(self, line: bytes) -> str:
        """Apply one event; return the version that it is of."""
        try:
            event = _EVENT.decode(line)
        except msgspec.DecodeError as error:
            raise ApiError(f"a watch event cannot be read: {error}") from error
        if event.type == "ERROR":
            raise ApiError(f"the watch ended: {event.object.message}", status=event.object.code)
        meta = event.object.metadata
        if event.type in ("ADDED", "MODIFIED"):
            self._store.put(pod_metadata(meta))
        elif event.type == "DELETED":
            self._store.remove(pod_metadata(meta))
        return meta.resource_version

"""The pods of this node as the API server knows them: by UID, by name, and which ones it has seen leave."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from agent.identity.facts import PodMetadata

_MAX_ENDED: Final = 1_024


class _End(NamedTuple):
    namespace: str
    name: str
    at_us: int | None  # None: it was found missing afterwards


class PodStore:
    """What a watch writes and readings read. `now_us` tells when an event arrives."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._now_us = now_us
        self._lock = threading.Lock()
        self._pods: dict[str, PodMetadata] = {}
        self._by_name: dict[tuple[str, str], dict[str, None]] = {}  # UIDs, the oldest first
        self._ended: OrderedDict[str, _End] = OrderedDict()

    def replace(self, pods: Iterable[PodMetadata]) -> None:
        """Take a whole list; a pod that was there and is not on it has ended."""
        listed = {pod.uid: pod for pod in pods}
        with self._lock:
            for uid in self._pods.keys() - listed.keys():
                self._forget(self._pods[uid], None)
            for pod in listed.values():
                self._put(pod)

    def put(self, pod: PodMetadata) -> None:
        """Take a pod that is new or has changed."""
        with self._lock:
            self._put(pod)

    def remove(self, pod: PodMetadata) -> None:
        """Take note that a pod has ended, known or not."""
        with self._lock:
            self._forget(pod, self._now_us())

    def get(self, uid: str) -> PodMetadata | None:
        """Return a pod that is there."""
        with self._lock:
            return self._pods.get(uid)

    def uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the pods of that name that are there, the newest first."""
        with self._lock:
            return tuple(reversed(self._by_name.get((namespace, name), {})))

    def ended(self, uid: str) -> bool:
        """Tell whether a pod was seen to leave."""
        with self._lock:
            return uid in self._ended

    def ended_us(self, uid: str) -> int | None:
        """Return when a pod was seen to leave, or None where it was only found missing afterwards."""
        with self._lock:
            end = self._ended.get(uid)
        return end.at_us if end else None

    def ended_uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the pods of that name that were seen to leave, the newest first."""
        with self._lock:
            return tuple(uid for uid, end in reversed(self._ended.items()) if end[:2] == (namespace, name))

    def __len__(self) -> int:
        with self._lock:
            return len(self._pods)

    def _put(self, pod: PodMetadata) -> None:
        self._pods[pod.uid] = pod
        self._by_name.setdefault((pod.namespace, pod.name), {})[pod.uid] = None
        self._ended.pop(pod.uid, None)

    def _forget(self, pod: PodMetadata, at_us: int | None) -> None:
        name = (pod.namespace, pod.name)
        if self._pods.pop(pod.uid, None) is not None:
            self._by_name[name].pop(pod.uid, None)
            if not self._by_name[name]:
                del self._by_name[name]
        self._ended[pod.uid] = _End(*name, at_us)
        while len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

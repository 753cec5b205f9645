"""What the API server tells of this node, put together: pods and their metadata, who made them, ResourceSlices.

Nothing here waits: answers are what is known now, and what is not known is asked for by threads of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.api import ApiServer
from agent.holders.kubernetes.dra import DeviceName, SliceDevice
from agent.holders.kubernetes.errands import Errands
from agent.holders.kubernetes.owners import with_owners
from agent.holders.kubernetes.pod_store import PodStore
from agent.holders.kubernetes.single_objects import SingleObjects
from agent.holders.kubernetes.slices import NodeSlices
from agent.holders.kubernetes.watch import PodWatch
from agent.identity.facts import PodMetadata

CURRENT_S: Final = 120.0  # how long the API server may be silent and what it said is still taken for current


class ViewState(NamedTuple):
    """How the view of the API server is, for people."""

    configured: bool
    url: str = ""
    current: bool = False  # it says now which pods there are
    pods: int = 0
    lists: int = 0
    watches: int = 0
    requests: int = 0
    denied_kinds: tuple[str, ...] = ()  # kinds of owners that may not be read
    error: str = ""


class PodView(Protocol):
    """The API server's knowledge of this node's pods."""

    def start(self) -> None:
        """Begin to look; nothing where it has begun."""
        ...

    def close(self) -> None:
        """Stop looking."""
        ...

    def current(self) -> bool:
        """Tell whether it is known now which pods there are."""
        ...

    def uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the running pods of that name, the newest first."""
        ...

    def ended(self, pod_uid: str) -> bool:
        """Tell whether a pod was seen to end."""
        ...

    def ended_us(self, pod_uid: str) -> int | None:
        """Return when a pod was seen to end, where that was seen."""
        ...

    def ended_uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the pods of that name that were seen to end, the newest first."""
        ...

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return what is known of a pod."""
        ...

    def described(self, name: DeviceName) -> SliceDevice | None:
        """Return what a ResourceSlice says of a device."""
        ...

    def claimable(self) -> Mapping[DeviceName, SliceDevice]:
        """Return all devices that this node's ResourceSlices offer."""
        ...

    def state(self) -> ViewState:
        """Return how it is."""
        ...


class ApiView:
    """A view through an API server."""

    def __init__(
        self,
        api: ApiServer,
        node: str,
        *,
        requests_per_second: float = 5.0,
        drivers: tuple[str, ...] = defaults.DRIVERS,
        current_s: float = CURRENT_S,
    ) -> None:
        self._api = api
        self._current_s = current_s
        self._errands = Errands(per_second=requests_per_second)
        self._objects = SingleObjects(api, self._errands)
        self._slices = NodeSlices(api, self._errands, node, drivers=drivers)
        self._store = PodStore()
        self.watch = PodWatch(api, node, self._store)

    def start(self) -> None:
        """Start to list and watch, unless that goes on already."""
        self.watch.start()

    def close(self) -> None:
        """End the watch and the errands."""
        self._errands.close()
        self.watch.close()

    def current(self) -> bool:
        """Tell whether the pods were listed, and the watch has not been away for long."""
        silent_s = self.watch.silent_s()
        return silent_s is not None and silent_s <= self._current_s

    def uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the running pods of that name, the newest first."""
        return self._store.uids(namespace, name)

    def ended(self, pod_uid: str) -> bool:
        """Tell whether the watch saw the pod leave."""
        return self._store.ended(pod_uid)

    def ended_us(self, pod_uid: str) -> int | None:
        """Return when the watch saw the pod leave."""
        return self._store.ended_us(pod_uid)

    def ended_uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the UIDs of the pods of that name that the watch saw leave, the newest first."""
        return self._store.ended_uids(namespace, name)

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return a pod with as much of its chain of owners as is known; the rest is asked for."""
        pod = self._store.get(pod_uid)
        return None if pod is None else with_owners(pod, self._objects)

    def described(self, name: DeviceName) -> SliceDevice | None:
        """Return what a ResourceSlice says of a device; slices are asked for where it is not known."""
        return self._slices.find(name)

    def claimable(self) -> Mapping[DeviceName, SliceDevice]:
        """Return what the slices offer as last read; they are asked for now and then."""
        return self._slices.everything()

    def state(self) -> ViewState:
        """Return how it is."""
        error = self.watch.error
        return ViewState(
            True,
            self._api.url,
            self.current(),
            len(self._store),
            self.watch.lists,
            self.watch.watches,
            self._errands.done,
            tuple(sorted(self._objects.denied)),
            "" if error is None else str(error),
        )


class NoView:
    """No API server: pods are known by the kubelet and their cgroups alone."""

    def start(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def current(self) -> bool:
        """Return False."""
        return False

    def uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return nothing."""
        del namespace, name
        return ()

    def ended(self, pod_uid: str) -> bool:
        """Return False: nobody saw."""
        del pod_uid
        return False

    def ended_us(self, pod_uid: str) -> int | None:
        """Return None."""
        del pod_uid
        return None

    def ended_uids(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return nothing."""
        del namespace, name
        return ()

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return None."""
        del pod_uid
        return None

    def described(self, name: DeviceName) -> SliceDevice | None:
        """Return None."""
        del name
        return None

    def claimable(self) -> Mapping[DeviceName, SliceDevice]:
        """Return nothing."""
        return {}

    def state(self) -> ViewState:
        """Return that there is none."""
        return ViewState(configured=False)

"""Which pod (by UID) a name in PodResources is, and whether it still runs.

Two pods can have one name: a StatefulSet's pod is made again under its name while the kubelet still lists the old one.
Asked in this order: the API server's running pods; the kubelet's log directories; the kubelet's checkpoint. Where
several remain, those whose cgroup lives, then those that the checkpoint notes with these devices, then the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, NamedTuple

from agent.holders.kubernetes.checkpoint import KubeletCheckpoint
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.kubernetes.podresources import ContainerDevices
from agent.holders.kubernetes.view import PodView
from agent.holders.pods import PodNames
from gpuledger.errors import HolderError

BY_API: Final = "api"
BY_LOGS: Final = "logs"
BY_CHECKPOINT: Final = "checkpoint"
BY_NAME: Final = "name"


class Joined(NamedTuple):
    """The pod behind a name. `uid` is empty where nothing tells it; `ended`: it is listed, but runs no more."""

    uid: str
    source: str
    ended: bool = False


class PodJoin:
    """Joins for one reading: what the cgroups and folders show is looked at once."""

    def __init__(self, view: PodView, pods: PodNames, checkpoint: KubeletCheckpoint, cgroups: PodCgroups) -> None:
        self._view = view
        self._pods = pods
        self._checkpoint = checkpoint
        self._cgroups = cgroups
        self._api_is_current = view.current()
        self.problem = ""  # why the log directories told nothing

    def find(self, listed: ContainerDevices) -> Joined:
        """Return the pod that a container in PodResources belongs to."""
        running = self._view.uids(listed.namespace, listed.pod)
        logged = self._logged(listed)
        if running and self._api_is_current:
            successors = self._successors(running, logged)
            return Joined(self._one_of(successors or running, listed), BY_LOGS if successors else BY_API)
        known = tuple(dict.fromkeys((*running, *logged, *self._view.ended_uids(listed.namespace, listed.pod))))
        if known:
            here = tuple(uid for uid in known if not self._is_over(uid))
            return Joined(self._one_of(here or known, listed), BY_LOGS, ended=not here)
        noted = self._noted(listed)
        if len(noted) == 1:
            return Joined(noted[0], BY_CHECKPOINT, ended=self._is_over(noted[0]))
        return Joined("", BY_NAME)

    def _successors(self, running: tuple[str, ...], logged: tuple[str, ...]) -> tuple[str, ...]:
        """Return pods in the place of those that the API server calls running: they live, and these do not.

        A watch whose connection died unheard goes on saying what it heard last.
        """
        others = tuple(uid for uid in logged if uid not in running and not self._view.ended(uid))
        if not others or self._living is None or not self._living.isdisjoint(running):
            return ()
        return tuple(uid for uid in others if uid in self._living)

    def _logged(self, listed: ContainerDevices) -> tuple[str, ...]:
        try:
            return self._pods.uids(listed.namespace, listed.pod)
        except HolderError as error:
            self.problem = str(error)
            return ()

    @cached_property
    def _living(self) -> frozenset[str] | None:
        return self._cgroups.living()

    def _is_over(self, uid: str) -> bool:
        """Tell whether a pod has ended: seen by the watch, else by its cgroup; unknown is not ended."""
        if self._view.ended(uid):
            return True
        return self._living is not None and uid not in self._living

    def _one_of(self, uids: tuple[str, ...], listed: ContainerDevices) -> str:
        """Return the likeliest of several pods of one name."""
        tests: tuple[Callable[[str], bool], ...] = (
            lambda uid: self._living is not None and uid in self._living,
            lambda uid: uid in self._noted(listed),
        )
        for passes in tests:
            if len(uids) > 1:
                uids = tuple(uid for uid in uids if passes(uid)) or uids
        return uids[0]

    def _noted(self, listed: ContainerDevices) -> tuple[str, ...]:
        """Return the pods that the checkpoint notes with the devices of this container."""
        return tuple(
            dict.fromkeys(
                uid
                for resource, ids in listed.devices
                for uid in self._checkpoint.uids_of(listed.container, resource, frozenset(ids))
            )
        )

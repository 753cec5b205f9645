"""Kubernetes as a source of grants: the kubelet says which container has what, everything else says whose that is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.grants import NOTHING_GRANTED, Grant, Granted
from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.assignments import Assignments
from agent.holders.kubernetes.checkpoint import KubeletCheckpoint
from agent.holders.kubernetes.join import PodJoin
from agent.holders.kubernetes.kubelet import Kubelet, KubeletAnswer
from agent.holders.kubernetes.labels import LabelFilter
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.kubernetes.podresources import ContainerDevices
from agent.holders.kubernetes.view import PodView, ViewState
from agent.holders.pods import PodNames
from agent.identity.facts import PodMetadata
from gpuledger.model import Confidence, Event, Holder

_log = logging.getLogger(__name__)


class KubernetesState(NamedTuple):
    """How this source works, for people."""

    here: bool  # a kubelet's socket is, or was, there
    kubelet_error: str = ""
    containers: int = 0  # with devices, in the kubelet's last answer
    ended: int = 0  # of those, how many belong to pods that have ended
    not_joined: int = 0  # of those, how many belong to a pod whose UID is not known
    unresolved: Mapping[str, int] = {}
    allocatable_known: bool = False
    problem: str = ""  # with the log directories or the checkpoint
    view: ViewState = ViewState(configured=False)


class KubernetesGrants:
    """What the kubelet of this node has given to whom."""

    name = "kubernetes"

    def __init__(
        self,
        kubelet: Kubelet,
        view: PodView,
        pods: PodNames,
        *,
        checkpoint: KubeletCheckpoint,
        cgroups: PodCgroups,
        assignments: Assignments | None = None,
        labels: Iterable[str] = defaults.LABELS,
        rule_labels: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """Read from these. `labels` are patterns: which labels and annotations go with a holder; rules name more."""
        self._kubelet = kubelet
        self._view = view
        self._pods = pods
        self._checkpoint = checkpoint
        self._cgroups = cgroups
        self._assignments = assignments or Assignments()
        self._labels = LabelFilter(labels, rule_labels)
        self._viewing = False
        self._view_said = ""
        self._before: dict[tuple[str, str], Grant] = {}  # by device and holder
        self._before_us = 0
        self._state = KubernetesState(here=False)

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        """Return what is granted now. Raises HolderError where there is a kubelet that has not answered for long."""
        if not self._kubelet.here():
            return NOTHING_GRANTED
        self._viewing = True
        self._view.start()
        self._labels.refresh()
        answer = self._kubelet.ask(at_us)
        index = DeviceIndex(reading)
        grants, excused = self._grants(answer, index)
        ended = self._ended_since(grants, at_us)
        offered = self._assignments.offered(answer.allocatable or (), self._view.claimable(), index)
        managed = offered.devices | {grant.device for grant in grants}
        events = tuple(self._view_events(at_us))
        return Granted((*grants, *ended), managed, offered.replicas, events, tuple(excused))

    @property
    def describes_pods(self) -> bool:
        """Tell whether there is an API server to ask about pods."""
        return self._view.state().configured

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return a pod's labels, annotations and owners, or None where they are not known (yet). Never waits."""
        return self._view.metadata(pod_uid)

    def enriched(self, holder: Holder) -> Holder:
        """Return a pod's holder with what the API server says of the pod; another holder as it is."""
        pod = self._view.metadata(holder.pod_uid) if holder.pod_uid else None
        if pod is None:
            return holder
        return msgspec.structs.replace(
            holder,
            namespace=holder.namespace or pod.namespace,
            pod=holder.pod or pod.name,
            labels={**self._labels.select(pod), **holder.labels},
            controller=holder.controller or pod.controller,
        )

    def state(self) -> KubernetesState:
        """Return how this source works."""
        error = self._kubelet.error
        return self._state._replace(
            here=self._kubelet.here(),
            kubelet_error="" if error is None else str(error),
            unresolved=dict(self._assignments.unresolved),
            view=self._view.state(),
        )

    def close(self) -> None:
        """Close the kubelet's connection and end the watch."""
        self._kubelet.close()
        if self._viewing:
            self._view.close()

    def _grants(self, answer: KubeletAnswer, index: DeviceIndex) -> tuple[list[Grant], list[Grant]]:
        """Return the grants of pods that run, and of those that have ended and that the kubelet still lists."""
        join = PodJoin(self._view, self._pods, self._checkpoint, self._cgroups)
        grants: list[Grant] = []
        excused: list[Grant] = []
        ended = not_joined = 0
        for container in answer.containers:
            assigned = self._assignments.of_container(container, index, self._view.described)
            if not assigned:
                continue
            joined = join.find(container)
            ended += joined.ended
            not_joined += not joined.uid
            holder = self.enriched(pod_holder(container, joined.uid))
            trust = Confidence.MEASURED if joined.uid else Confidence.DERIVED
            found = excused if joined.ended else grants
            found += [
                Grant(device, holder, method, replicas, confidence=trust) for device, replicas, method in assigned
            ]
        self._state = KubernetesState(
            True,
            containers=len(answer.containers),
            ended=ended,
            not_joined=not_joined,
            allocatable_known=answer.allocatable is not None,
            problem=join.problem or self._checkpoint.problem,
        )
        return grants, excused

    def _ended_since(self, grants: Iterable[Grant], at_us: int) -> list[Grant]:
        """Return the grants that the reading before had and whose pods were seen to end since, with that instant."""
        before, before_us = self._before, self._before_us
        self._before, self._before_us = {(grant.device, grant.holder.key): grant for grant in grants}, at_us
        return [
            grant._replace(until_us=until_us)
            for key, grant in before.items()
            if key not in self._before
            and (until_us := self._view.ended_us(grant.holder.pod_uid)) is not None
            and before_us < until_us <= at_us
        ]

    def _view_events(self, at_us: int) -> list[Event]:
        """Return an event where the API server has begun or ceased to answer, or there is none to ask: each once."""
        state = self._view.state()
        now = "absent" if not state.configured else "answers" if state.current else "fails" if state.error else ""
        if now in ("", self._view_said) or (now == "answers" and not self._view_said):
            self._view_said = now or self._view_said
            return []
        self._view_said = now
        kind, severity, message = _SAYINGS[now]
        _log.info("%s", message)
        details = {"error": state.error} if state.error else {}
        return [Event(at_us, kind, message, severity, details=details)]


_WITHOUT: Final = "pods are known by name, without labels and owners"
_SAYINGS: Final = {
    "absent": ("kubernetes_api_absent", "info", f"no API server is known here: {_WITHOUT}"),
    "fails": (
        "kubernetes_api_lost",
        "warning",
        f"the API server does not answer: {_WITHOUT}",
    ),
    "answers": ("kubernetes_api_answers", "info", "the API server answers: pods have labels and owners"),
}


def pod_holder(container: ContainerDevices, pod_uid: str) -> Holder:
    """Return the holder that a container is; a pod whose UID nothing tells is known by its names alone."""
    pod = pod_uid or f"{container.namespace}/{container.pod}"
    return Holder(
        key=f"pod:{pod}/{container.container}",
        kind="pod",
        namespace=container.namespace,
        pod=container.pod,
        pod_uid=pod_uid,
        container=container.container,
    )

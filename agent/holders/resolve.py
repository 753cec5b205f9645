"""From a pid that a driver lists to the holder that it belongs to.

What names the tenancy, strongest first: a Slurm job step (also where slurmd itself runs in a pod), a pod's container, a
plain container, the user. A process that cannot be read is `unattributed`, with the reason in its key; it is never
dropped and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from agent.holders.ancestry import ancestry
from agent.holders.cgroup import CgroupIdentity, parse_identity
from agent.holders.containers import Containers, InMemoryContainers
from agent.holders.pods import PodName, PodNames
from agent.holders.processes import ProcessFacts, ProcessTable
from agent.identity.facts import ContainerFacts, PodMetadata
from agent.identity.identify import NOTHING_FOUND, Identifier, Identity
from gpuledger.errors import HolderError
from gpuledger.model import Holder

BY_CGROUP: Final = "process_cgroup"
BY_USER: Final = "process_user"
BY_LOGIN: Final = "login_uid"
BY_MACHINE: Final = "process_of_the_machine"
VANISHED: Final = "process_vanished"
_LOOK_AGAIN: Final = frozenset({1, 2, 4, 8, 16, 32, 64})  # readings after the first
UNREADABLE: Final = "process_unreadable"
_MACHINE: Final = frozenset(
    {"Xorg", "X", "Xwayland", "gnome-shell", "nv-hostengine", "nvidia-persiste", "nv-fabricmanage", "nvidia-imex"}
)
_LAST_SYSTEM_UID: Final = 999  # login.defs: people's begin at 1000


class Resolved(NamedTuple):
    """A process's holder, how it was found (`method`), and when the process started, where that is known."""

    holder: Holder
    method: str
    start_us: int | None
    settled: bool = True  # False: ask again next time, more may be known then


class _Evidence(NamedTuple):
    """What an identity was made from: the same evidence gives the same identity."""

    facts: ProcessFacts
    ancestors: tuple[ProcessFacts, ...]
    pod: PodName | None
    described: PodMetadata | None
    container: ContainerFacts | None


class HolderResolver:
    """Resolves pids, remembering those of the last two readings.

    A process that has just ended can so still be named when its last activity is reported. A pid whose start time
    changed is another process and is resolved anew. A young process is looked at again, ever more seldom.
    """

    def __init__(
        self,
        processes: ProcessTable,
        pods: PodNames,
        *,
        node: str,
        identifier: Identifier | None = None,
        containers: Containers | None = None,
        metadata: Callable[[str], PodMetadata | None] | None = None,
    ) -> None:
        self._processes = processes
        self._pods = pods
        self._node = node
        self._identifier = identifier or Identifier()
        self._containers = containers or InMemoryContainers()
        self._metadata = metadata
        self._current: dict[int, Resolved] = {}
        self._previous: dict[int, Resolved] = {}
        self._evidence: dict[int, _Evidence] = {}
        self._age: dict[int, int] = {}  # readings since a process was first listed
        self.vanished = 0  # processes that ended before anything about them could be read
        self.unreadable = 0  # processes that run and may not be read
        self.pods_unreadable = 0  # look-ups of a pod's name that failed
        self.containers_unreadable = 0  # look-ups of a container's name that failed
        self.ancestors_unreadable = 0  # processes of which an ancestor could not be read

    def begin_reading(self) -> None:
        """Start a new reading: what neither this nor the previous one lists is forgotten."""
        self._previous, self._current = self._current, {}
        self._processes.begin_reading(self._previous.keys())
        self._age = {pid: self._age.get(pid, 0) + 1 for pid in self._previous}
        self._evidence = {pid: one for pid, one in self._evidence.items() if pid in self._previous}
        if self._identifier.refresh():
            self._evidence.clear()
            self._previous = {pid: known._replace(settled=False) for pid, known in self._previous.items()}

    def resolve(self, pid: int) -> Resolved:
        """Return the holder of a process that the driver lists now."""
        known = self._current.get(pid)
        if known is not None:
            return known
        resolved = self._checked(pid, self._previous.get(pid))
        self._current[pid] = resolved
        return resolved

    def resolve_ended(self, pid: int, until_us: int | None = None) -> Resolved:
        """Return the holder of a process that did work since the previous reading and may have ended.

        `until_us` is when it did, where that is known: a process that started later has only taken over its pid.
        """
        found = self._current.get(pid) or self._previous.get(pid) or self._fresh(pid)
        if until_us is not None and found.start_us is not None and found.start_us > until_us:
            return _unattributed(self._node, VANISHED)
        return found

    def failures(self) -> dict[str, int]:
        """Return how many look-ups found nothing, by reason."""
        return {
            "vanished": self.vanished,
            "unreadable": self.unreadable,
            "pod_unreadable": self.pods_unreadable,
            "container_unreadable": self.containers_unreadable,
            "ancestor_unreadable": self.ancestors_unreadable,
            **self._processes.failures(),
            **self._identifier.failures(),
        }

    @property
    def remembered(self) -> int:
        """Return how many processes are remembered."""
        return len(self._current.keys() | self._previous.keys())

    def _checked(self, pid: int, known: Resolved | None) -> Resolved:
        if known is None:
            return self._fresh(pid)
        try:
            start_us = self._processes.start_us(pid)
        except HolderError:
            return known
        if start_us is None:
            return known  # it ended after the driver listed it: it is still who it was
        if start_us != known.start_us:
            return self._fresh(pid)
        return known if known.settled and self._age.get(pid) not in _LOOK_AGAIN else self._again(pid, known)

    def _again(self, pid: int, known: Resolved) -> Resolved:
        """Look at a process again: a young one may yet be moved by its scheduler, or open what tells its run."""
        try:
            facts = self._processes.facts(pid)
        except HolderError:
            return known
        return known if facts is None else self._found(facts, known)

    def _fresh(self, pid: int) -> Resolved:
        try:
            facts = self._processes.facts(pid)
        except HolderError:
            self.unreadable += 1
            return _unattributed(self._node, UNREADABLE)
        if facts is None:
            self.vanished += 1
            return _unattributed(self._node, VANISHED)
        return self._found(facts)

    def _found(self, facts: ProcessFacts, known: Resolved | None = None) -> Resolved:
        identity = parse_identity(facts.cgroup)
        evidence, settled = self._gather(facts, identity)
        if known is not None and self._evidence.get(facts.pid) == evidence:
            return known if known.settled is settled else known._replace(settled=settled)
        self._evidence[facts.pid] = evidence
        found = self._identifier.identify(facts, evidence.ancestors, evidence.described, evidence.container)
        holder = holder_of(facts, identity, evidence.pod, evidence.container, found)
        method = BY_CGROUP if identity.names_tenant else BY_LOGIN if holder.uid != facts.uid else BY_USER
        if is_the_machines(facts, identity):
            method = BY_MACHINE
        return Resolved(holder, method, facts.start_us, settled=settled)

    def _gather(self, facts: ProcessFacts, identity: CgroupIdentity) -> tuple[_Evidence, bool]:
        """Return all that is known around a process, and whether that is all there will be."""
        pod, pod_settled = self._pod_name(identity)
        container, container_settled = self._container(identity)
        described, described_settled = self._described(identity.pod_uid, pod)
        ancestors, complete = ancestry(facts, self._processes)
        self.ancestors_unreadable += not complete
        evidence = _Evidence(facts, ancestors, pod, described, container)
        return evidence, pod_settled and container_settled and described_settled

    def _described(self, pod_uid: str, pod: PodName | None) -> tuple[PodMetadata | None, bool]:
        """Return what the API server says of a pod, else its name alone; and whether that is all there will be."""
        named = PodMetadata(namespace=pod.namespace, name=pod.pod) if pod is not None else None
        if not pod_uid or self._metadata is None:
            return named, True
        found = self._metadata(pod_uid)
        return (named, False) if found is None else (found, found.owners_settled)

    def _container(self, identity: CgroupIdentity) -> tuple[ContainerFacts | None, bool]:
        if not identity.container_id:
            return None, True
        try:
            return self._containers.find(identity.container_id), True
        except HolderError:
            self.containers_unreadable += 1
            return None, False

    def _pod_name(self, identity: CgroupIdentity) -> tuple[PodName | None, bool]:
        """Return a process's pod, its container alone where that is known, and whether that is all there will be."""
        uid = identity.pod_uid
        if not uid:
            return None, True
        try:
            pod = self._pods.find(uid)
            container = self._pods.container_name(uid, identity.container_id)
        except HolderError:
            self.pods_unreadable += 1
            return None, False
        return pod._replace(containers=(container,)) if pod and container else pod, pod is not None


def is_the_machines(facts: ProcessFacts, identity: CgroupIdentity) -> bool:
    """Tell whether a process is a display server or a daemon of the driver's, run by a system account for everybody."""
    return (
        facts.comm in _MACHINE
        and facts.uid <= _LAST_SYSTEM_UID
        and facts.login_uid is None
        and not identity.names_tenant
    )


def holder_of(
    facts: ProcessFacts,
    identity: CgroupIdentity,
    pod: PodName | None = None,
    container: ContainerFacts | None = None,
    found: Identity = NOTHING_FOUND,
) -> Holder:
    """Return the holder that a process belongs to, with the workload that was found for it."""
    environ = facts.environ
    job = identity.slurm_job or identity.slurm_sluid
    person, name = person_behind(facts)
    name_in_pod = pod.only_container if pod else ""
    if identity.pod_uid and container is not None:
        name_in_pod = name_in_pod or container.name
    key, kind = _key(identity, job, person, name_in_pod)
    if kind == "user" and found.workload is not None and found.workload.id:
        key = f"{key}/{found.workload.system}:{found.workload.id}"  # one person's runs are told apart
    uid = _uid(facts, identity, kind, person)
    return Holder(
        key=key,
        kind=kind,
        namespace=pod.namespace if pod else "",
        pod=pod.pod if pod else "",
        pod_uid=identity.pod_uid,
        container=name_in_pod or (container.name if container else ""),
        container_id=identity.container_id,
        slurm_job=identity.slurm_job or (_digits(environ.get("SLURM_JOB_ID", "")) if job else ""),
        slurm_step=identity.slurm_step,
        slurm_account=environ.get("SLURM_JOB_ACCOUNT", "") if job else "",
        slurm_partition=environ.get("SLURM_JOB_PARTITION", "") if job else "",
        user=(name if uid == person else "") or (environ.get("SLURM_JOB_USER", "") if job else ""),
        uid=uid,
        labels=found.labels(),
        workload=found.workload,
        team_claim=found.team_claim,
        team_source=found.team_source,
    )


def person_behind(facts: ProcessFacts) -> tuple[int, str]:
    """Return whose a process is, with the name: what runs as root from a person's login (sudo) is that person's."""
    if facts.uid == 0 and facts.login_uid:
        return facts.login_uid, facts.login_user
    return facts.uid, facts.user


def _key(identity: CgroupIdentity, job: str, uid: int, container: str) -> tuple[str, str]:
    """Return the tenancy's key. A container that starts again is the same one of its pod, under another id."""
    if job:
        return (f"slurm:{job}.{identity.slurm_step}" if identity.slurm_step else f"slurm:{job}"), "slurm_job"
    if identity.pod_uid:
        return f"pod:{identity.pod_uid}/{container or identity.container_id}", "pod"
    if identity.container_id:
        return f"container:{identity.container_id}", "container"
    return f"user:{uid}", "user"


def _uid(facts: ProcessFacts, identity: CgroupIdentity, kind: str, person: int) -> int | None:
    """Return whose the holder is. A uid inside a pod or a container is nobody's on this node: its session's may be."""
    if kind == "slurm_job":
        return facts.uid if identity.slurm_uid is None else identity.slurm_uid
    return person if kind == "user" else identity.session_uid


def _digits(text: str) -> str:
    """Return a job id that a process's own environment states; anything but a number is not one."""
    return text if text.isascii() and text.isdigit() else ""


def _unattributed(node: str, method: str) -> Resolved:
    reason = method.removeprefix("process_")
    holder = Holder(key=f"unattributed:{node}/{reason}", kind="unattributed", labels={"reason": reason})
    return Resolved(holder, method, None, settled=False)

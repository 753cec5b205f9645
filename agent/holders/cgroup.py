"""Who a process belongs to, told from the cgroup it runs in: pod, container, Slurm job step, user session.

Pure. Expressions are searched, not anchored: an agent in a container sees relative paths (`/../..`), and nodes that are
containers themselves put their own cgroup in front of the tenant's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_POD: Final = re.compile(
    r"pod(?P<uid>[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./:]|$)"
)
_CONTAINER: Final = re.compile(
    r"(?:^|[/:]|(?P<prefix>cri-containerd|crio|docker|libpod(?:-payload)?|containerd)[-:])"
    r"(?P<cid>[0-9a-f]{64})(?:\.scope)?(?=/|$)"
)
_SLURM_V1: Final = re.compile(
    r"/slurm(?:_(?P<node>[^/]+))?/uid_(?P<uid>\d+)/job_(?P<job>\d+)"
    r"(?:/step_(?P<step>[^/]+))?(?:/task_(?P<task>\d+|special))?"
)
_SLURM_V2: Final = re.compile(
    r"/(?:(?P<node>[^/]+)_)?slurmstepd\.scope/(?:job_(?P<job>\d+)|(?P<sluid>s[0-9A-HJKMNP-TV-Z]{13}))"
    r"(?:/step_(?P<step>[^/]+))?(?:/(?:user|slurm)(?:/task_(?P<task>\d+|special))?)?"
)
_SESSION: Final = re.compile(r"/user-(?P<uid>\d+)\.slice(?=/|$)")
_MOST_UID: Final = 2**32 - 1
_SCOPE_PREFIX: Final = re.compile(r"(?:^|[/:])(?P<prefix>cri-containerd|crio|docker|libpod)[-:][^/]*$")

_RUNTIMES: Final = {
    "cri-containerd": "containerd",
    "containerd": "containerd",
    "crio": "cri-o",
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
}
_CONTROLLERS: Final = ("memory", "cpuacct", "pids", "devices", "freezer")  # v1 lines, most telling first
_DELETED: Final = " (deleted)"  # the kernel's suffix once the cgroup is removed


class CgroupIdentity(NamedTuple):
    """What a cgroup path says about its processes; empty (or None) where it does not say."""

    pod_uid: str = ""  # with dashes; static pods have 32 hexadecimal digits without
    container_id: str = ""  # the innermost container, 64 hexadecimal digits
    runtime: str = ""  # containerd, cri-o, docker, podman
    outer_container_id: str = ""  # a container around it (a node that is itself a container)
    slurm_job: str = ""
    slurm_sluid: str = ""  # Slurm 26.05 names jobs by SLUID in its paths
    slurm_step: str = ""
    slurm_task: str = ""
    slurm_uid: int | None = None
    session_uid: int | None = None

    @property
    def names_tenant(self) -> bool:
        """Tell whether a scheduler or a container runtime is behind these processes."""
        return bool(self.pod_uid or self.container_id or self.slurm_job or self.slurm_sluid)


def parse_identity(text: str) -> CgroupIdentity:
    """Return the identity in the text of `/proc/<pid>/cgroup` (v1, v2 or hybrid), or in a bare path.

    The unified hierarchy (`0::`) speaks first, then the v1 controllers in a fixed order; the first path that names a
    tenant decides, since on hybrid systems a manager may have put its jobs in one hierarchy only.
    """
    first = CgroupIdentity()
    for path in candidate_paths(text):
        identity = parse_path(path)
        if identity.names_tenant:
            return identity
        if first.session_uid is None:
            first = identity
    return first


def candidate_paths(text: str) -> Iterator[str]:
    """Yield the paths of a `/proc/<pid>/cgroup` text that are not the root, most telling first."""
    if text.startswith("/"):
        yield text.strip()
        return
    by_controller: dict[str, str] = {}
    for line in text.splitlines():
        _, colon, rest = line.partition(":")
        controllers, second_colon, path = rest.partition(":")
        if colon and second_colon and path not in ("", "/"):
            for controller in controllers.split(","):
                by_controller.setdefault(controller, path)
    for controller in ("", *_CONTROLLERS):
        if controller in by_controller:
            yield by_controller.pop(controller)
    yield from by_controller.values()


def parse_path(path: str) -> CgroupIdentity:
    """Return the identity that one cgroup path carries."""
    path = path.removesuffix(_DELETED)
    session = _SESSION.search(path)
    pod = _POD.search(path)
    if pod and session and session.start() < pod.start():
        pod = None  # a user names the groups below the own session: another's pod would be charged
    inside_pod_from = pod.end() if pod else 0
    containers = list(_CONTAINER.finditer(path))
    tenant = [match for match in containers if match.start() >= inside_pod_from]
    inner = tenant[-1] if tenant else None
    outer = containers[0] if containers and containers[0] is not inner else None
    slurm = _SLURM_V1.search(path) or _SLURM_V2.search(path)
    if slurm and session and session.start() < slurm.start():
        slurm = None  # a user names the groups below the own session: no job step of Slurm's runs there
    slurm_facts = slurm.groupdict() if slurm else {}
    return CgroupIdentity(
        pod_uid=pod["uid"].replace("_", "-") if pod else "",
        container_id=inner["cid"] if inner else "",
        runtime=_runtime(path, inner),
        outer_container_id=outer["cid"] if outer else "",
        slurm_job=slurm_facts.get("job") or "",
        slurm_sluid=slurm_facts.get("sluid") or "",
        slurm_step=slurm_facts.get("step") or "",
        slurm_task=slurm_facts.get("task") or "",
        slurm_uid=_number(slurm_facts.get("uid")),
        session_uid=_number(session["uid"]) if session else None,
    )


def _runtime(path: str, container: re.Match[str] | None) -> str:
    """Return the runtime that the innermost scope is named after, also where that is no container (a mount, conmon)."""
    found = container or _SCOPE_PREFIX.search(path)
    prefix = found["prefix"] if found else None
    return _RUNTIMES[prefix] if prefix else ""


def _number(digits: str | None) -> int | None:
    """Return a uid; a number that is none was made up by whoever named the group."""
    number = int(digits) if digits else None
    return number if number is None or number <= _MOST_UID else None

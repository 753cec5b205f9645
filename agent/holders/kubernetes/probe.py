"""What of Kubernetes works on this node and what does not, each with the next step: for `gpuledger doctor`.

Each check stands on its own: one that fails never hides another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.config import AgentSettings
from agent.holders.kubernetes.api import METADATA_LIST, ApiEndpoint, ApiServer
from agent.holders.kubernetes.checkpoint import KubeletCheckpoint
from agent.holders.kubernetes.grpc import UnixGrpc
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.kubernetes.podresources import GET_ALLOCATABLE, LIST, NO_ARGUMENTS, parse_allocatable, parse_list
from agent.holders.kubernetes.watch import PODS
from agent.holders.pods import PodLogDirectories
from gpuledger.errors import GpuLedgerError


class Probed(NamedTuple):
    """What one check found. `status`: ok, warning, failed, or absent (not here, and perhaps not meant to be)."""

    check: str
    status: str
    found: str
    next_step: str = ""


def probe_kubernetes(settings: AgentSettings, env: Mapping[str, str] = os.environ) -> list[Probed]:
    """Return the findings of every check; of the socket alone where this is no Kubernetes node."""
    section = settings.kubernetes
    if not section.enabled:
        return [Probed("kubelet", "absent", "[kubernetes] enabled = false")]
    if not section.socket.exists():
        hint = f"fine, unless this is a Kubernetes node: then mount {section.socket.parent} into the agent"
        return [Probed("kubelet", "absent", f"{section.socket} is not here", hint)]
    return [
        _checked("kubelet", lambda: _kubelet(settings)),
        _checked("kubelet allocatable", lambda: _allocatable(settings)),
        _checked("API server", lambda: _api(settings, env)),
        _checked("pod logs", lambda: _logs(settings)),
        _pod_cgroups(settings),
        _checkpoint(settings),
    ]


def _checked(check: str, look: Callable[[], Probed]) -> Probed:
    try:
        return look()
    except GpuLedgerError as error:
        return Probed(check, "failed", error.message, error.hint)


def _kubelet(settings: AgentSettings) -> Probed:
    containers = parse_list(_call(settings, LIST))
    return Probed("kubelet", "ok", f"{len(containers):,} containers with devices")


def _allocatable(settings: AgentSettings) -> Probed:
    names = sorted({devices.resource for devices in parse_allocatable(_call(settings, GET_ALLOCATABLE)) if devices.ids})
    return Probed("kubelet allocatable", "ok", ", ".join(names) or "no device plugin has devices")


def _call(settings: AgentSettings, method: str) -> bytearray:
    section = settings.kubernetes
    caller = UnixGrpc(section.socket, max_message_bytes=section.max_message_bytes)
    try:
        return caller.call(method, NO_ARGUMENTS, timeout_s=section.timeout_s)
    finally:
        caller.close()


def _api(settings: AgentSettings, env: Mapping[str, str]) -> Probed:
    section = settings.kubernetes
    endpoint = ApiEndpoint.of(section.api_url, section.token_file, section.ca_file, env) if section.api else None
    if endpoint is None:
        step = "for labels and owners run the agent as a pod, or set [kubernetes] api_url, token_file and ca_file"
        return Probed("API server", "warning", "none is known: pods are known by name only", step)
    node = section.node or settings.node
    selector = f"spec.nodeName={node}"
    server = ApiServer(endpoint, timeout_s=section.api_timeout_s)
    body = server.get(PODS, {"fieldSelector": selector, "resourceVersion": "0", "limit": "1"}, accept=METADATA_LIST)
    if b'"uid"' not in body:
        step = "set [kubernetes] node to the node's name in Kubernetes (kubectl get nodes)"
        return Probed("API server", "warning", f'{endpoint.url} knows no pods of a node "{node}"', step)
    return Probed("API server", "ok", f"{endpoint.url} lists the pods of {node}")


def _logs(settings: AgentSettings) -> Probed:
    holders = settings.holders
    pods = PodLogDirectories(holders.pod_logs, holders.container_logs)
    pods.find("")
    pods.container_name("", "0" * 64)
    missing = [str(path) for path in (holders.pod_logs, holders.container_logs) if not path.is_dir()]
    if missing:
        step = "mount them read-only into the agent: pods and containers are named by them"
        return Probed("pod logs", "warning", f"not here: {', '.join(missing)}", step)
    return Probed("pod logs", "ok", f"{holders.pod_logs} and {holders.container_logs} can be listed")


def _pod_cgroups(settings: AgentSettings) -> Probed:
    root = settings.kubernetes.cgroups
    living = PodCgroups(root).living()
    if living is None:
        step = "mount the host's /sys/fs/cgroup read-only and name it in [kubernetes] cgroups"
        found = f"no pods under {root}: without the API server pods that have ended are not told"
        return Probed("pod cgroups", "warning", found, step)
    return Probed("pod cgroups", "ok", f"{len(living):,} pods under {root}")


def _checkpoint(settings: AgentSettings) -> Probed:
    path = settings.kubernetes.checkpoint
    checkpoint = KubeletCheckpoint(path)
    checkpoint.uids_of("", "", frozenset())
    if checkpoint.problem:
        return Probed("kubelet checkpoint", "warning", checkpoint.problem, f"mount {path.parent} read-only")
    if not path.exists():
        return Probed("kubelet checkpoint", "absent", f"{path} is not here", "fine: it is a fallback")
    return Probed("kubelet checkpoint", "ok", f"{path} can be read")

"""What Kubernetes answers on this node, each with the next step: for `gpuledger doctor`, beside its permissions.

Each check stands on its own: one that fails never hides another. Nothing is asked where there is no kubelet's socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from agent.config import AgentSettings
from agent.holders.kubernetes.api import METADATA_LIST, ApiEndpoint, ApiServer
from agent.holders.kubernetes.device_ids import matches, parse_device_id
from agent.holders.kubernetes.grpc import UnixGrpc
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.kubernetes.podresources import (
    GET_ALLOCATABLE,
    LIST,
    NO_ARGUMENTS,
    DeviceIds,
    parse_allocatable,
    parse_list,
)
from agent.holders.kubernetes.watch import PODS
from gpuledger.errors import GpuLedgerError


class Probed(NamedTuple):
    """What one check found. `lost` says what is missing until `next_step` is taken."""

    check: str
    status: Literal["ok", "warning", "failed", "absent"]
    found: str
    next_step: str = ""
    lost: str = ""


def probe_kubernetes(settings: AgentSettings, env: Mapping[str, str] = os.environ) -> list[Probed]:
    """Return the findings of every check; none where the agent asks no kubelet."""
    section = settings.kubernetes
    if not section.enabled or not section.socket.exists():
        return []
    found = [
        _checked("kubelet grants", lambda: _grants(settings), "which pod has which device"),
        _checked("kubelet devices", lambda: _devices(settings), "replicas of shared devices, ungranted use"),
        _pod_cgroups(settings),
    ]
    endpoint = ApiEndpoint.of(section.api_url, section.token_file, section.ca_file, env) if section.api else None
    if endpoint is not None:
        found.append(_checked("pods of this node", lambda: _pods(settings, endpoint), _DESCRIPTIONS))
    return found


_DESCRIPTIONS = "labels, annotations and owners of pods"


def _checked(check: str, look: Callable[[], Probed], lost: str) -> Probed:
    try:
        return look()
    except GpuLedgerError as error:
        return Probed(check, "failed", error.message, error.hint, lost)


def _grants(settings: AgentSettings) -> Probed:
    containers = parse_list(_call(settings, LIST))
    return Probed("kubelet grants", "ok", f"{len(containers):,} containers with devices")


def _devices(settings: AgentSettings) -> Probed:
    offered = [devices for devices in parse_allocatable(_call(settings, GET_ALLOCATABLE)) if devices.ids]
    gpus = sorted({devices.resource for devices in offered if any(map(parse_device_id, devices.ids))})
    left_out = [resource for resource in gpus if not matches(resource, settings.kubernetes.resources)]
    if left_out:
        found = f"GPUs under names that are not looked at: {', '.join(left_out)}"
        return Probed("kubelet devices", "failed", found, "add them to [kubernetes] resources", "their grants")
    return Probed("kubelet devices", "ok", _in_words(offered, gpus))


def _in_words(offered: list[DeviceIds], gpus: list[str]) -> str:
    counts = {name: sum(len(one.ids) for one in offered if one.resource == name) for name in gpus}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "no device plugin has GPUs to give"


def _call(settings: AgentSettings, method: str) -> bytearray:
    section = settings.kubernetes
    caller = UnixGrpc(section.socket, max_message_bytes=section.max_message_bytes)
    try:
        return caller.call(method, NO_ARGUMENTS, timeout_s=section.timeout_s)
    finally:
        caller.close()


def _pods(settings: AgentSettings, endpoint: ApiEndpoint) -> Probed:
    node = settings.kubernetes.node or settings.node
    server = ApiServer(endpoint, timeout_s=settings.kubernetes.api_timeout_s)
    parameters = {"fieldSelector": f"spec.nodeName={node}", "resourceVersion": "0", "limit": "1"}
    if b'"uid"' in server.get(PODS, parameters, accept=METADATA_LIST):
        return Probed("pods of this node", "ok", f"{endpoint.url} lists those of {node}")
    step = "set [kubernetes] node to the node's name in Kubernetes (kubectl get nodes)"
    return Probed("pods of this node", "failed", f'{endpoint.url} knows none on a node "{node}"', step, _DESCRIPTIONS)


def _pod_cgroups(settings: AgentSettings) -> Probed:
    root = settings.kubernetes.cgroups
    living = PodCgroups(root).living()
    if living is None:
        step = "mount the host's /sys/fs/cgroup read-only and name it in [kubernetes] cgroups"
        lost = "which pods have ended, where the API server does not answer"
        return Probed("pod cgroups", "warning", f"no pods under {root}", step, lost)
    return Probed("pod cgroups", "ok", f"{len(living):,} pods under {root}")

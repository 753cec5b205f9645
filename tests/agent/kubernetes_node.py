"""A Kubernetes node for tests: a kubelet on its socket, its folders and cgroups, and an API server if wanted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.config import AgentSection, AgentSettings, HoldersSection, KubernetesSection
from agent.holders.grants import Granted
from agent.holders.kubernetes.build import kubernetes_grants
from agent.holders.kubernetes.grants import KubernetesGrants
from tests.agent.kubelet_server import KubeletServer, kubelet_at
from tests.agent.kubernetes_api import KubernetesApi, serving_api
from tests.agent.nodes import T0, node
from tests.agent.test_kubernetes_devices import A, B, cut, whole

READING = node(whole(A, index=0, minor=3), cut(B, index=1, minor=0))


class KubernetesNode:
    """The node's files and servers, and the source that reads them."""

    def __init__(self, root: Path, kubelet: KubeletServer, api: KubernetesApi | None, url: str) -> None:
        self.root = root
        self.kubelet = kubelet
        self.api = api
        self.settings = AgentSettings(
            agent=AgentSection(node="node-a"),
            holders=HoldersSection(pod_logs=root / "pods", container_logs=root / "containers"),
            kubernetes=KubernetesSection(
                socket=kubelet.path,
                timeout_s=10.0,
                checkpoint=root / "kubelet_internal_checkpoint",
                cgroups=root / "cgroup",
                api=bool(url),
                api_url=url,
                token_file=root / "token",
                requests_per_second=100.0,
            ),
        )
        self.at_us = T0

    def source(self, *, rule_labels: Callable[[], frozenset[str]] = frozenset, **changes: Any) -> KubernetesGrants:
        """Return a source with these settings; `changes` are of the section."""
        section = msgspec.structs.replace(self.settings.kubernetes, **changes)
        return kubernetes_grants(
            msgspec.structs.replace(self.settings, kubernetes=section), rule_labels=rule_labels, env={}
        )

    def log_directory(self, name: str, uid: str, *containers: str, namespace: str = "ns", age_s: int = 0) -> None:
        """Make a pod's log directory, as old as that."""
        path = self.root / "pods" / f"{namespace}_{name}_{uid}"
        for container in containers or ("main",):
            (path / container).mkdir(parents=True)
        os.utime(path, (2_000_000 - age_s, 2_000_000 - age_s))

    def cgroup(self, uid: str) -> Path:
        """Make a pod's cgroup."""
        path = self.root / "cgroup/kubepods.slice" / f"kubepods-pod{uid.replace('-', '_')}.slice"
        path.mkdir(parents=True)
        return path

    def link(self, pod: str, container: str, container_id: str, namespace: str = "ns") -> None:
        """Make a container's log link."""
        (self.root / "containers" / f"{pod}_{namespace}_{container}-{container_id}.log").touch()

    def note(self, *entries: tuple[str, str, str, list[str]]) -> None:
        """Write the kubelet's checkpoint: UID, container, resource, ids."""
        noted = [
            {"PodUID": uid, "ContainerName": name, "ResourceName": resource, "DeviceIDs": {"0": ids}}
            for uid, name, resource, ids in entries
        ]
        self.settings.kubernetes.checkpoint.write_text(json.dumps({"Data": {"PodDeviceEntries": noted}}))


@contextmanager
def kubernetes_node(root: Path, api: KubernetesApi | None = None) -> Iterator[KubernetesNode]:
    """Run a node in a folder, for a while."""
    for name in ("pods", "containers", "cgroup"):
        (root / name).mkdir()
    (root / "token").write_text("token-1")
    with ExitStack() as serving:
        url = serving.enter_context(serving_api(api)) if api is not None else ""
        kubelet = serving.enter_context(kubelet_at(root / "kubelet.sock"))
        yield KubernetesNode(root, kubelet, api, url)


def held(granted: Granted) -> dict[str, tuple[str, int]]:
    """Return who has each device, and how many replicas of it (devices with one holder)."""
    found = {grant.device: (grant.holder.key, grant.replicas) for grant in granted.grants}
    assert len(found) == len(granted.grants)
    return found

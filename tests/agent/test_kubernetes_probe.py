"""What `gpuledger doctor` is told about Kubernetes: every missing permission with its next step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.config import AgentSettings, KubernetesSection
from agent.holders.kubernetes.probe import Probed, probe_kubernetes
from tests.agent import kubernetes_api as objects
from tests.agent.kubelet_messages import allocatable, listing, plugged, pod
from tests.agent.kubelet_server import grpc, refusing
from tests.agent.kubernetes_api import KubernetesApi
from tests.agent.kubernetes_node import KubernetesNode, kubernetes_node


@pytest.fixture
def here(tmp_path: Path) -> Iterator[KubernetesNode]:
    api = KubernetesApi()
    api.put(objects.pod("p", "uid"))
    with kubernetes_node(tmp_path, api) as found:
        found.kubelet.list = listing(pod("p", main=[plugged("nvidia.com/gpu", "GPU-1")]))
        found.kubelet.allocatable = allocatable(plugged("nvidia.com/gpu", "GPU-1"))
        yield found


def findings(settings: AgentSettings) -> dict[str, Probed]:
    return {found.check: found for found in probe_kubernetes(settings, {})}


def test_a_node_where_everything_works(here: KubernetesNode) -> None:
    """Each check is ok and says what it saw."""
    here.cgroup("6f3c1c5e-9a4b-4c8d-8f21-0123456789ab")
    here.note(("uid", "main", "nvidia.com/gpu", ["GPU-1"]))
    found = findings(here.settings)
    assert {one.status for one in found.values()} == {"ok"}, found
    assert found["kubelet"].found == "1 containers with devices"
    assert found["kubelet allocatable"].found == "nvidia.com/gpu"
    assert "node-a" in found["API server"].found


def test_a_machine_without_kubelet_says_so_and_no_more(tmp_path: Path) -> None:
    """Nothing that fails, and the step for a pod that lacks the mount."""
    settings = AgentSettings(kubernetes=KubernetesSection(socket=tmp_path / "folder" / "kubelet.sock"))
    (found,) = probe_kubernetes(settings, {})
    assert found.status == "absent"
    assert f"mount {tmp_path / 'folder'}" in found.next_step
    off = AgentSettings(kubernetes=KubernetesSection(enabled=False))
    assert [one.status for one in probe_kubernetes(off, {})] == ["absent"]


def test_each_thing_that_is_missing_has_its_next_step(here: KubernetesNode) -> None:
    """One failure hides no other."""
    assert here.api is not None
    here.api.failing = 403
    here.kubelet.list = refusing(grpc.StatusCode.PERMISSION_DENIED, "no")
    (here.root / "containers").rmdir()
    here.settings.kubernetes.checkpoint.write_text("{")
    found = findings(here.settings)
    assert {name: one.status for name, one in found.items()} == {
        "kubelet": "failed",
        "kubelet allocatable": "ok",
        "API server": "failed",
        "pod logs": "warning",
        "pod cgroups": "warning",
        "kubelet checkpoint": "warning",
    }
    assert "root" in found["kubelet"].next_step
    assert "role" in found["API server"].next_step
    assert "mount" in found["pod logs"].next_step
    assert "cgroup" in found["pod cgroups"].next_step


def test_no_api_server_and_a_wrong_node_name_are_told_apart(here: KubernetesNode) -> None:
    """The usual mistake of agents outside of pods: the host's name is not the node's name in Kubernetes."""
    replace = msgspec.structs.replace
    misnamed = replace(here.settings, kubernetes=replace(here.settings.kubernetes, node="node-a.example.com"))
    found = findings(misnamed)["API server"]
    assert (found.status, "kubectl get nodes" in found.next_step) == ("warning", True)
    without = replace(here.settings, kubernetes=replace(here.settings.kubernetes, api=False))
    found = findings(without)["API server"]
    assert (found.status, "api_url" in found.next_step) == ("warning", True)

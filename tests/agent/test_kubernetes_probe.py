"""What `gpuledger doctor` is told about Kubernetes: what answers, and the next step where something does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.config import AgentSettings, KubernetesSection
from agent.holders.kubernetes.probe import Probed, probe_kubernetes
from gpuledger.cli.main import main
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
    found = findings(here.settings)
    assert {one.status for one in found.values()} == {"ok"}, found
    assert found["kubelet grants"].found == "1 containers with devices"
    assert found["kubelet devices"].found == "1 nvidia.com/gpu"
    assert "node-a" in found["pods of this node"].found


def test_a_machine_without_kubelet_is_asked_nothing(tmp_path: Path, here: KubernetesNode) -> None:
    """What is missing is said by the checks of permissions; here there is nothing to ask."""
    assert probe_kubernetes(AgentSettings(kubernetes=KubernetesSection(socket=tmp_path / "none")), {}) == []
    off = msgspec.structs.replace(here.settings.kubernetes, enabled=False)
    assert probe_kubernetes(msgspec.structs.replace(here.settings, kubernetes=off), {}) == []


def test_each_thing_that_is_missing_has_its_next_step(here: KubernetesNode) -> None:
    """One failure hides no other, and says what is lost."""
    assert here.api is not None
    here.api.failing = 403
    here.kubelet.list = refusing(grpc.StatusCode.PERMISSION_DENIED, "no")
    found = findings(here.settings)
    assert {name: one.status for name, one in found.items()} == {
        "kubelet grants": "failed",
        "kubelet devices": "ok",
        "pod cgroups": "warning",
        "pods of this node": "failed",
    }
    assert "root" in found["kubelet grants"].next_step
    assert "role" in found["pods of this node"].next_step
    assert "cgroup" in found["pod cgroups"].next_step
    assert all(one.lost for one in found.values() if one.status != "ok")


def test_a_renamed_resource_that_nobody_configured_is_said(here: KubernetesNode) -> None:
    """A site that renames its resources would otherwise have no grants at all."""
    here.kubelet.allocatable = allocatable(plugged("example.com/a100", "GPU-1"), plugged("example.com/nic", "mlx5_0"))
    found = findings(here.settings)["kubelet devices"]
    assert (found.status, found.found.endswith("not looked at: example.com/a100")) == ("failed", True)


def test_a_wrong_node_name_is_told(here: KubernetesNode) -> None:
    """The usual mistake of agents outside of pods: the host's name is not the node's name in Kubernetes."""
    section = msgspec.structs.replace(here.settings.kubernetes, node="node-a.example.com")
    found = findings(msgspec.structs.replace(here.settings, kubernetes=section))["pods of this node"]
    assert (found.status, "kubectl get nodes" in found.next_step) == ("failed", True)


def test_doctor_tells_it(here: KubernetesNode, capsys: pytest.CaptureFixture[str]) -> None:
    """The findings stand among those of `gpuledger doctor`."""
    section = here.settings.kubernetes
    config = here.root / "agent.toml"
    config.write_text(
        f"""
        [agent]
        node = "node-a"
        [kubernetes]
        socket = "{section.socket}"
        timeout_s = 10.0
        api_url = "{section.api_url}"
        token_file = "{section.token_file}"
        """
    )
    main(["doctor", "--config", str(config), "--format", "json"])
    rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["kubelet grants"]["status"] == "ok"
    assert rows["pods of this node"]["status"] == "ok"

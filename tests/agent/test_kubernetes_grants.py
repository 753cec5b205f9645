"""Kubernetes as a source of grants: a real gRPC kubelet, a node's folders, and an API server or none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.holders.cgroup import parse_identity
from agent.holders.grants import NOTHING_GRANTED
from agent.holders.kubernetes.assignments import BY_CLAIM, BY_PLUGIN
from agent.holders.kubernetes.grants import KubernetesGrants
from agent.holders.pods import PodLogDirectories
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import HolderError
from tests.agent.kubelet_messages import allocatable, claimed, listing, plugged, pod
from tests.agent.kubelet_server import grpc, refusing
from tests.agent.kubernetes_node import READING, KubernetesNode, held, kubernetes_node
from tests.agent.nodes import CONTAINER, T0
from tests.agent.test_kubernetes_devices import MIG1, MIG2, A, B

UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
UID2 = "7f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
SECOND = US_PER_SECOND


@pytest.fixture
def here(tmp_path: Path) -> Iterator[KubernetesNode]:
    """Give a node without an API server."""
    with kubernetes_node(tmp_path) as found:
        yield found


@pytest.fixture
def source(here: KubernetesNode) -> Iterator[KubernetesGrants]:
    found = here.source()
    yield found
    found.close()


def test_a_machine_without_kubelet_grants_nothing(tmp_path: Path, here: KubernetesNode) -> None:
    """No socket: nothing is granted and nothing managed, no thread runs, and h2 need not be there."""
    threads = threading.active_count()
    found = here.source(socket=tmp_path / "none" / "kubelet.sock")
    assert found.read(T0, READING) == NOTHING_GRANTED
    assert not found.state().here
    assert threading.active_count() == threads
    found.close()


def test_a_container_holds_what_the_kubelet_gave_it(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Whole GPU, MIG instances, init containers and native sidecars: each container is its own holder."""
    here.log_directory("trainer", UID, "main", "setup", "proxy")
    here.kubelet.list = listing(
        pod("trainer", main=[plugged("nvidia.com/gpu", A)], setup=[plugged("nvidia.com/mig-1g.10gb", MIG1)], proxy=[plugged("nvidia.com/mig-2g.20gb", MIG2)]),
        pod("no-gpu", main=[plugged("example.com/nic", "mlx5_0")]),
        pod("nothing", main=[]),
    )  # fmt: skip
    here.kubelet.allocatable = allocatable(
        plugged("nvidia.com/gpu", A), plugged("nvidia.com/mig-1g.10gb", MIG1), plugged("nvidia.com/mig-2g.20gb", MIG2)
    )
    granted = source.read(T0, READING)
    assert held(granted) == {
        A: (f"pod:{UID}/main", 1),
        MIG1: (f"pod:{UID}/setup", 1),
        MIG2: (f"pod:{UID}/proxy", 1),
    }
    holder = granted.grants[0].holder
    assert (holder.kind, holder.namespace, holder.pod, holder.pod_uid, holder.container) == (
        "pod",
        "ns",
        "trainer",
        UID,
        "main",
    )
    assert {grant.method for grant in granted.grants} == {BY_PLUGIN}
    assert granted.managed == {A, MIG1, MIG2}
    assert granted.replicas == {}


def test_a_process_and_a_grant_meet_in_one_key(here: KubernetesNode, source: KubernetesGrants) -> None:
    """The cgroup has pod UID and container id, the grant pod and container name: links and log directories join them."""
    here.log_directory("trainer", UID, "main", "sidecar")
    here.link("trainer", "main", CONTAINER)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    identity = parse_identity(f"0::/kubepods/burstable/pod{UID}/{CONTAINER}\n")
    pods = PodLogDirectories(here.settings.holders.pod_logs, here.settings.holders.container_logs)
    name = pods.container_name(identity.pod_uid, identity.container_id)
    assert source.read(T0, READING).grants[0].holder.key == f"pod:{identity.pod_uid}/{name}"


def test_replicas_are_granted_and_counted(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Time-slicing and MPS: two pods have three of the four replicas, which are four whoever has them."""
    here.log_directory("a", UID)
    here.log_directory("b", UID2)
    here.kubelet.list = listing(
        pod("a", main=[plugged("nvidia.com/gpu.shared", f"{A}::0", f"{A}::2")]),
        pod("b", main=[plugged("nvidia.com/gpu.shared", f"{A}::1")]),
    )
    here.kubelet.allocatable = allocatable(plugged("nvidia.com/gpu.shared", *[f"{A}::{n}" for n in range(4)]))
    granted = source.read(T0, READING)
    assert [(grant.device, grant.holder.key, grant.replicas) for grant in granted.grants] == [
        (A, f"pod:{UID}/main", 2),
        (A, f"pod:{UID2}/main", 1),
    ]
    assert granted.replicas == {A: 4}


def test_claims_are_granted_by_minor_number_and_placement(here: KubernetesNode, source: KubernetesGrants) -> None:
    """DRA without an API server: `gpu-3` is /dev/nvidia3, a MIG instance made on demand is found by its placement."""
    here.log_directory("dra", UID, "main", "other")
    here.kubelet.list = listing(
        pod("dra", main=[claimed("gpu-3", share_id="s1"), claimed("gpu-0-mig-1g10gb-19-4")], other=[claimed("gpu-3", share_id="s2")])
    )  # fmt: skip
    granted = source.read(T0, READING)
    assert [(grant.device, grant.holder.key, grant.method) for grant in granted.grants] == [
        (A, f"pod:{UID}/main", BY_CLAIM),
        (MIG1, f"pod:{UID}/main", BY_CLAIM),
        (A, f"pod:{UID}/other", BY_CLAIM),
    ]
    assert granted.managed == {A, MIG1}


def test_a_large_node_is_read(here: KubernetesNode, source: KubernetesGrants) -> None:
    """An answer of more than the 4 MiB that gRPC usually takes."""
    here.log_directory("trainer", UID)
    many = [plugged("example.com/nic", *[f"{n:080}" for n in range(60_000)])]
    here.kubelet.list = listing(pod("trainer", main=[*many, plugged("nvidia.com/gpu", A)]))
    assert len(here.kubelet.list) > 4 * 2**20  # type: ignore[arg-type]
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID}/main", 1)}


def test_a_kubelet_that_restarts_is_not_missed(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Its last answer stands while it is away, then it is an error, and its new socket is found."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    before = source.read(T0, READING)
    here.kubelet.stop()
    assert source.read(T0 + 10 * SECOND, READING).grants == before.grants
    assert "kubelet" in source.state().kubelet_error
    assert source.read(T0 + 1790 * SECOND, READING).grants == before.grants
    with pytest.raises(HolderError) as lost:
        source.read(T0 + 1830 * SECOND, READING)
    assert "kubelet" in lost.value.hint
    here.kubelet.start()
    here.kubelet.list = listing()
    assert source.read(T0 + 1870 * SECOND, READING).grants == ()
    assert source.state().kubelet_error == ""


def test_a_kubelet_that_never_answered_is_an_error(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Where nothing is known nothing stands."""
    here.kubelet.list = refusing(grpc.StatusCode.UNAVAILABLE, "starting")
    with pytest.raises(HolderError, match="UNAVAILABLE"):
        source.read(T0, READING)


def test_a_slow_kubelet_does_not_hold_up_sampling(here: KubernetesNode) -> None:
    """A reading waits no longer than its time-out, and the next ones do not wait at all for a while."""
    found = here.source(timeout_s=0.2)
    here.kubelet.list = here.kubelet.wait_until_released
    calls = len(here.kubelet.calls)
    began = time.monotonic()
    with pytest.raises(HolderError):
        found.read(T0, READING)
    with pytest.raises(HolderError):
        found.read(T0 + SECOND // 2, READING)
    assert time.monotonic() - began < 5
    assert len(here.kubelet.calls) - calls == 1
    found.close()


def test_a_pod_whose_cgroup_is_gone_has_ended(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Without an API server: the kubelet goes on listing a pod that has ended; its devices are free."""
    here.log_directory("done", UID)
    here.log_directory("alive", UID2)
    cgroup = here.cgroup(UID)
    here.cgroup(UID2)
    here.kubelet.list = listing(
        pod("done", main=[plugged("nvidia.com/mig-1g.10gb", MIG1)]),
        pod("alive", main=[plugged("nvidia.com/mig-1g.10gb", MIG2)]),
    )
    assert set(held(source.read(T0, READING))) == {MIG1, MIG2}
    cgroup.rmdir()
    after = source.read(T0 + SECOND, READING)
    assert set(held(after)) == {MIG2}
    assert [(grant.device, grant.holder.key) for grant in after.excused] == [(MIG1, f"pod:{UID}/main")]
    assert source.state().ended == 1


def test_of_two_pods_with_one_name_the_living_one_is_meant(here: KubernetesNode, source: KubernetesGrants) -> None:
    """A StatefulSet's pod that was made again: the one with a cgroup, however old its directory looks."""
    here.log_directory("web-0", UID, age_s=0)
    here.log_directory("web-0", UID2, age_s=100)
    here.cgroup(UID2)
    here.kubelet.list = listing(pod("web-0", main=[plugged("nvidia.com/gpu", A)]))
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID2}/main", 1)}


def test_of_two_pods_with_one_name_the_checkpoint_knows_whose_devices_they_are(
    here: KubernetesNode, source: KubernetesGrants
) -> None:
    """Without a view of the cgroups: who is noted with these devices, else the newest."""
    here.log_directory("web-0", UID, age_s=0)
    here.log_directory("web-0", UID2, age_s=100)
    here.kubelet.list = listing(pod("web-0", main=[plugged("nvidia.com/gpu", A)]))
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID}/main", 1)}
    here.note((UID2, "main", "nvidia.com/gpu", [A]))
    assert held(source.read(T0 + SECOND, READING)) == {A: (f"pod:{UID2}/main", 1)}


def test_same_names_in_two_namespaces_are_two_pods(here: KubernetesNode, source: KubernetesGrants) -> None:
    """A name alone never joins."""
    here.log_directory("web-0", UID, namespace="a")
    here.log_directory("web-0", UID2, namespace="b")
    here.kubelet.list = listing(
        pod("web-0", "a", main=[plugged("nvidia.com/mig-1g.10gb", MIG1)]),
        pod("web-0", "b", main=[plugged("nvidia.com/mig-1g.10gb", MIG2)]),
    )
    assert held(source.read(T0, READING)) == {MIG1: (f"pod:{UID}/main", 1), MIG2: (f"pod:{UID2}/main", 1)}


def test_without_log_directories_the_checkpoint_joins(here: KubernetesNode, source: KubernetesGrants) -> None:
    """The kubelet's own record tells the UID; without it a pod is known by its names, and counted as not joined."""
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    assert held(source.read(T0, READING)) == {A: ("pod:ns/trainer/main", 1)}
    assert source.state().not_joined == 1
    here.note((UID, "main", "nvidia.com/gpu", [A]))
    assert held(source.read(T0 + SECOND, READING)) == {A: (f"pod:{UID}/main", 1)}
    assert source.state().not_joined == 0


def test_log_directories_that_may_not_be_read_stop_nothing(here: KubernetesNode, source: KubernetesGrants) -> None:
    """The problem is kept for people, the other sources go on."""
    (here.root / "pods").rmdir()
    (here.root / "pods").touch()
    here.note((UID, "main", "nvidia.com/gpu", [A]))
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID}/main", 1)}
    assert "log directories" in source.state().problem


def test_what_there_is_to_give_is_asked_for_each_minute(here: KubernetesNode, source: KubernetesGrants) -> None:
    """It changes with a driver's configuration, seldom; a kubelet that cannot tell manages what it has given."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    here.kubelet.allocatable = allocatable(plugged("nvidia.com/gpu", A), plugged("nvidia.com/mig-1g.10gb", MIG1))
    for second in range(0, 60, 10):
        assert source.read(T0 + second * SECOND, READING).managed == {A, MIG1}
    assert here.kubelet.calls.count("GetAllocatableResources") == 1
    here.kubelet.allocatable = refusing(grpc.StatusCode.UNIMPLEMENTED, "disabled")
    assert source.read(T0 + 60 * SECOND, READING).managed == {A}
    assert not source.state().allocatable_known


def test_grants_do_not_wait_for_what_there_is_to_give(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Where only the second question fails, the answer to the first counts, and what was known of the other stands."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    here.kubelet.allocatable = allocatable(plugged("nvidia.com/gpu", A), plugged("nvidia.com/mig-1g.10gb", MIG1))
    source.read(T0, READING)
    here.kubelet.list = listing()
    here.kubelet.allocatable = refusing(grpc.StatusCode.UNKNOWN, "checkpoint error")
    granted = source.read(T0 + 60 * SECOND, READING)
    assert granted.grants == ()
    assert granted.managed == {A, MIG1}
    assert source.state().kubelet_error == ""


def test_devices_that_are_not_here_are_said(here: KubernetesNode, source: KubernetesGrants) -> None:
    """A grant for a GPU that the driver does not show is no grant, and is counted."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", "GPU-gone", A)]))
    assert set(held(source.read(T0, READING))) == {A}
    assert source.state().unresolved["no_such_device"] == 1


def test_a_renamed_resource_is_taken_by_its_pattern(here: KubernetesNode) -> None:
    """Resource names are the site's: patterns say which are GPUs."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("example.com/a100-40", A)]))
    found = here.source(resources=("example.com/a100-*",))
    assert set(held(found.read(T0, READING))) == {A}
    found.close()


def test_no_api_server_is_said_once(
    here: KubernetesNode, source: KubernetesGrants, caplog: pytest.LogCaptureFixture
) -> None:
    """As an event, in the log and in the state; everything else works."""
    with caplog.at_level(logging.INFO):
        events = [event for n in range(3) for event in source.read(T0 + n, READING).events]
    assert [(event.kind, event.severity) for event in events] == [("kubernetes_api_absent", "info")]
    assert caplog.text.count("no API server") == 1
    assert not source.state().view.configured


def test_a_gpu_that_was_cut_leaves_its_grant_with_its_instances(here: KubernetesNode, source: KubernetesGrants) -> None:
    """What is held of a GPU with MIG are its instances: whoever has the GPU has these."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", B)]))
    assert set(held(source.read(T0, READING))) == {MIG1, MIG2}


def test_a_hostile_answer_is_an_error_and_not_a_crash(here: KubernetesNode, source: KubernetesGrants) -> None:
    """Bytes that are no message: the last answer stands, then an error with a hint."""
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    before = source.read(T0, READING)
    here.kubelet.list = b"\x0a\xff\xff\xff\xff\x0f"
    assert source.read(T0 + SECOND, READING).grants == before.grants
    assert "protobuf" in source.state().kubelet_error

"""With an API server a grant carries UID, labels, annotations and what made the pod; what has ended there has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.holders.grants import Granted
from agent.holders.kubernetes.grants import KubernetesGrants
from agent.holders.kubernetes.labels import LabelFilter
from agent.holders.kubernetes.metadata import InMemoryPodMetadata, ObjectMeta, pod_metadata
from agent.identity.facts import PodMetadata
from agent.identity.facts import PodOwner as Owner
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.model import Event, Holder
from tests.agent import kubernetes_api as objects
from tests.agent.kubelet_messages import claimed, listing, plugged, pod
from tests.agent.kubernetes_api import KubernetesApi, owner, thing
from tests.agent.kubernetes_node import READING, KubernetesNode, held, kubernetes_node
from tests.agent.nodes import T0
from tests.agent.test_kubernetes_devices import MIG1, MIG2, A, B
from tests.waiting import until

UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
UID2 = "7f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
HASH = "0123456789abcdef" * 2


@pytest.fixture
def api() -> KubernetesApi:
    found = KubernetesApi()
    found.objects = {
        "/apis/apps/v1/namespaces/ns/replicasets/llama-7d9f": thing("llama-7d9f", "uid-rs", owner("Deployment", "llama", "uid-d")),
        "/apis/apps/v1/namespaces/ns/deployments/llama": thing("llama", "uid-d"),
    }  # fmt: skip
    return found


@pytest.fixture
def here(tmp_path: Path, api: KubernetesApi) -> Iterator[KubernetesNode]:
    """Give a node with an API server."""
    with kubernetes_node(tmp_path, api) as found:
        yield found


@pytest.fixture
def source(here: KubernetesNode) -> Iterator[KubernetesGrants]:
    found = here.source()
    yield found
    found.close()


def read_until(source: KubernetesGrants, condition: Callable[[Granted], object]) -> Granted:
    """Read again and again, the clock going on, until what is granted is so."""
    deadline = time.monotonic() + 10
    at_us = T0
    while time.monotonic() < deadline:
        granted = source.read(at_us, READING)
        if condition(granted):
            return granted
        at_us += US_PER_SECOND // 100
        time.sleep(0.002)
    raise AssertionError(granted)


def test_a_grant_carries_labels_and_what_made_the_pod(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """Allow-listed labels and annotations, the UID, and the top of the chain of owners: once known, in the next reading."""
    api.put(
        objects.pod(
            "llama-7d9f-x1", UID,
            labels={"team": "nlp", "app.kubernetes.io/name": "llama", "pod-template-hash": "7d9f"},
            annotations={"cost-center": "4711", "team": "not-this", "secret.example.com/key": "hunter2"},
            ownerReferences=[owner("ReplicaSet", "llama-7d9f", "uid-rs")],
        )
    )  # fmt: skip
    here.kubelet.list = listing(pod("llama-7d9f-x1", main=[plugged("nvidia.com/gpu", A)]))
    granted = read_until(source, lambda granted: granted.grants[0].holder.controller)
    assert granted.grants[0].holder == Holder(
        key=f"pod:{UID}/main",
        kind="pod",
        namespace="ns",
        pod="llama-7d9f-x1",
        pod_uid=UID,
        container="main",
        labels={"team": "nlp", "app.kubernetes.io/name": "llama", "cost-center": "4711"},
        controller="Deployment/llama",
    )


def test_the_rules_of_identity_see_everything_of_a_pod(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """All labels and annotations and the chain, for any pod of the node, with GPUs or without."""
    api.put(
        objects.pod(
            "llama-7d9f-x1", UID, labels={"a": "1"}, annotations={"b": "2", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            ownerReferences=[owner("ReplicaSet", "llama-7d9f", "uid-rs")],
        )
    )  # fmt: skip
    found = read_until(source, lambda _: (pod := source.metadata(UID)) is not None and pod.owners_settled)
    assert found.grants == ()
    assert source.metadata(UID) == PodMetadata(
        {"a": "1"},
        {"b": "2"},
        (Owner("apps/v1", "ReplicaSet", "llama-7d9f", "uid-rs"), Owner("apps/v1", "Deployment", "llama", "uid-d")),
        "ns",
        "llama-7d9f-x1",
        UID,
    )
    assert source.metadata("another") is None
    holder = Holder(key="pod:x/y", kind="pod", pod_uid=UID, container="main")
    assert source.enriched(holder).controller == "Deployment/llama"
    assert source.enriched(holder).pod == "llama-7d9f-x1"
    user = Holder(key="user:1", kind="user")
    assert source.enriched(user) is user


def test_labels_that_the_rules_name_go_with_the_holder(here: KubernetesNode, api: KubernetesApi) -> None:
    """They add to those of the settings, and follow rules that are read again."""
    api.put(objects.pod("p", UID, labels={"ray.io/cluster": "c", "other": "x", "team": "t"}))
    here.kubelet.list = listing(pod("p", main=[plugged("nvidia.com/gpu", A)]))
    rules = {"names": frozenset({"ray.io/*"})}
    found = here.source(rule_labels=lambda: rules["names"])
    granted = read_until(found, lambda granted: granted.grants[0].holder.labels)
    assert granted.grants[0].holder.labels == {"ray.io/cluster": "c", "team": "t"}
    rules["names"] = frozenset({"other"})
    assert found.read(T0, READING).grants[0].holder.labels == {"other": "x", "team": "t"}
    assert found.describes_pods
    found.close()


def test_no_list_storm(here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants) -> None:
    """A hundred pods of ten owners on the node, fifty readings: one list, one watch, one request for each owner."""
    for n in range(100):
        api.put(
            objects.pod(
                f"p-{n}", f"uid-{n}", ownerReferences=[owner("Job", f"job-{n % 10}", f"uid-j{n % 10}", "batch/v1")]
            )
        )
        api.objects[f"/apis/batch/v1/namespaces/ns/jobs/job-{n % 10}"] = thing(f"job-{n % 10}", f"uid-j{n % 10}")
    here.kubelet.list = listing(
        *[pod(f"p-{n}", main=[plugged("nvidia.com/gpu.shared", f"{A}::{n}")]) for n in range(100)]
    )
    read_until(source, lambda granted: all(grant.holder.controller for grant in granted.grants))
    for n in range(50):
        source.read(T0 + n, READING)
    assert len(api.asked("/api/v1/pods")) == 2
    assert len(api.asked("/jobs/")) == 10
    assert len(api.asked("resourceslices")) <= 3


@pytest.mark.parametrize("end", ["finished", "deleted"])
def test_a_pod_that_the_watch_saw_end_is_dropped(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants, end: str
) -> None:
    """The kubelet may list it for half an hour more: its devices are free."""
    here.log_directory("job", UID)
    api.put(objects.pod("job", UID))
    here.kubelet.list = listing(pod("job", main=[plugged("nvidia.com/gpu", A)]))
    read_until(source, lambda granted: source.metadata(UID) is not None)
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID}/main", 1)}
    if end == "finished":
        api.put(objects.pod("job", UID, phase="Succeeded"))
    else:
        api.delete(UID)
    read_until(source, lambda granted: not granted.grants)
    assert source.state().ended == 1


def test_a_pod_that_had_ended_before_the_agent_came_is_dropped_by_its_cgroup(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """The API server does not list it, nothing saw it leave: the missing cgroup tells."""
    here.log_directory("job", UID)
    here.log_directory("new", UID2)
    here.cgroup(UID2)
    here.kubelet.list = listing(
        pod("job", main=[plugged("nvidia.com/mig-1g.10gb", MIG1)]),
        pod("new", main=[plugged("nvidia.com/mig-1g.10gb", MIG2)]),  # newer than the watch: it lives
    )
    read_until(source, lambda _: source.state().view.current)
    assert held(source.read(T0, READING)) == {MIG2: (f"pod:{UID2}/main", 1)}


def test_a_pod_made_again_under_its_name_is_the_new_one(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """The API server knows which one there is; log directories and the checkpoint of the old one do not confuse it."""
    here.log_directory("web-0", UID)
    here.note((UID, "main", "nvidia.com/gpu", [A]))
    api.put(objects.pod("web-0", UID))
    here.kubelet.list = listing(pod("web-0", main=[plugged("nvidia.com/gpu", A)]))
    read_until(source, lambda _: source.metadata(UID))
    api.delete(UID)
    api.put(objects.pod("web-0", UID2))
    read_until(source, lambda granted: granted.grants and granted.grants[0].holder.pod_uid == UID2)


def test_a_watch_that_has_not_heard_of_a_successor_bills_nobody_who_is_gone(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """The pod that it calls running has no cgroup any more, another of its name has: that one holds the device."""
    here.log_directory("web-0", UID2, age_s=100)
    before = here.cgroup(UID2)
    api.put(objects.pod("web-0", UID2))
    here.kubelet.list = listing(pod("web-0", main=[plugged("nvidia.com/gpu", A)]))
    read_until(source, lambda _: source.metadata(UID2))
    here.log_directory("web-0", UID)
    here.cgroup(UID)
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID2}/main", 1)}, "both live: the API server decides"
    before.rmdir()
    assert held(source.read(T0, READING)) == {A: (f"pod:{UID}/main", 1)}


def test_a_static_pod_has_the_uid_that_its_cgroup_has(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """Its copy at the API server has another UID: the annotation tells the kubelet's."""
    api.put(
        objects.pod("gpu-node-a", "uid-of-the-mirror", annotations={"kubernetes.io/config.mirror": HASH}, ownerReferences=[owner("Node", "node-a", "n", "v1")])
    )  # fmt: skip
    here.kubelet.list = listing(pod("gpu-node-a", main=[plugged("nvidia.com/gpu", A)]))
    granted = read_until(source, lambda granted: granted.grants[0].holder.controller)
    assert granted.grants[0].holder.key == f"pod:{HASH}/main"
    assert granted.grants[0].holder.controller == "Node/node-a"


def test_a_claimed_device_is_what_its_slice_says(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """The UUID in the ResourceSlice decides; and all devices that slices offer are managed, claimed or not."""
    api.put(objects.pod("dra", UID))
    devices = [
        {"name": "gpu-7", "attributes": {"type": {"string": "gpu"}, "uuid": {"string": A}}},
        {"name": "gpu-0-mig-1g10gb-19-0", "attributes": {"type": {"string": "mig"}, "parentUUID": {"string": B}}},
    ]
    slice_ = {"spec": {"driver": "gpu.nvidia.com", "pool": {"name": "node-a", "generation": 1}, "devices": devices}}
    api.objects["/apis/resource.k8s.io/v1/resourceslices"] = {"items": [slice_]}
    here.kubelet.list = listing(pod("dra", main=[claimed("gpu-7")]))
    granted = read_until(source, lambda granted: granted.grants and source.metadata(UID))
    assert held(granted) == {A: (f"pod:{UID}/main", 1)}
    assert granted.managed == {A, MIG2}


def test_an_api_server_that_fails_is_said_once_and_so_is_its_return(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """Grants go on by log directories meanwhile, without labels."""
    api.failing = 403
    api.put(objects.pod("trainer", UID2, labels={"team": "t"}))
    here.log_directory("trainer", UID)
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    events: list[Event] = []

    def heard(granted: Granted) -> bool:
        events.extend(granted.events)
        return bool(granted.events)

    granted = read_until(source, heard)
    assert held(granted) == {A: (f"pod:{UID}/main", 1)}
    assert "role" in source.state().view.error
    for n in range(5):
        heard(source.read(T0 + n, READING))
    api.failing = None
    read_until(source, heard)  # which may be the answer about devices: that about pods may come later
    granted = read_until(source, lambda granted: not heard(granted) and granted.grants[0].holder.labels)
    assert [event.kind for event in events] == ["kubernetes_api_lost", "kubernetes_api_answers"]
    assert "role" in events[0].details["error"]
    assert granted.grants[0].holder.labels == {"team": "t"}


def test_an_owner_that_may_not_be_read_leaves_what_is_known(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """The highest owner that is known stands, and the state names the kind that the role lacks."""
    api.forbidden = {"replicasets"}
    api.put(objects.pod("p", UID, ownerReferences=[owner("ReplicaSet", "llama-7d9f", "uid-rs")]))
    here.kubelet.list = listing(pod("p", main=[plugged("nvidia.com/gpu", A)]))
    granted = read_until(source, lambda granted: granted.grants[0].holder.controller)
    assert granted.grants[0].holder.controller == "ReplicaSet/llama-7d9f"
    assert source.state().view.denied_kinds == ("ReplicaSet",)


def test_closing_ends_every_thread(here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants) -> None:
    """The server sees the watch go."""
    source.read(T0, READING)
    api.wait_for(lambda: api.watching == 1)
    source.close()
    api.put(objects.pod("p", UID))  # a server notices a client that went when it next writes to it
    api.break_watches()
    api.wait_for(lambda: api.watching == 0)
    assert source.metadata(UID) is None


def test_labels_are_bounded() -> None:
    """A pod with a thousand labels, or a very long annotation, does not fill the ledger."""
    many = PodMetadata({f"app.kubernetes.io/{n:04}": "x" for n in range(1_000)}, {"team": "y" * 10_000})
    assert len(LabelFilter(("app.kubernetes.io/*", "team")).select(many)) == 64
    long = LabelFilter(("team",)).select(PodMetadata({}, {"team": "y" * 10_000}))
    assert len(long["team"]) == 256
    assert LabelFilter(()).select(many) == {}


def test_labels_are_looked_through_anew_when_they_have_changed() -> None:
    """What was found for a pod stands until its labels or annotations are other ones."""
    found = LabelFilter(("team",))
    pod = PodMetadata({"team": "a", "teams": "b"}, {}, uid=UID)
    assert found.select(pod) == {"team": "a"}
    assert found.select(pod._replace(owners_settled=False)) is found.select(pod)
    assert found.select(pod._replace(labels={"team": "b"})) == {"team": "b"}


@pytest.mark.parametrize("count", [1, 8, 100, 5_000])
def test_what_one_pod_can_take_of_the_agents_memory_is_bounded(count: int) -> None:
    """Annotations of any number and length: long values are cut first, so that many short ones stay whole."""
    meta = ObjectMeta(name="p", annotations={f"a{n:04}": "x" * (262_144 // count) for n in range(count)})
    found = pod_metadata(meta).annotations
    assert sum(map(len, found.values())) <= 32_768
    assert len(found) == min(count, 128) or count == 5_000


def test_given_metadata_answers_like_the_real_one() -> None:
    """The in-memory twin keeps the same promise."""
    given = PodMetadata(name="p", uid=UID)
    assert InMemoryPodMetadata({UID: given}).metadata(UID) == given
    assert InMemoryPodMetadata({}).metadata(UID) is None


def test_a_pod_that_ended_between_two_readings_ended_when_the_watch_said_so(
    here: KubernetesNode, api: KubernetesApi, source: KubernetesGrants
) -> None:
    """Its grant is given once more, with that instant: the ledger is not off by the time to the next reading."""
    api.put(objects.pod("job", UID))
    here.kubelet.list = listing(pod("job", main=[plugged("nvidia.com/gpu", A)]))
    now_us = time.time_ns() // 1_000
    read_until(source, lambda _: source.metadata(UID))
    source.read(now_us, READING)
    api.delete(UID)
    until(lambda: source.metadata(UID) is None)
    (ended,) = source.read(now_us + 60 * US_PER_SECOND, READING).grants
    assert ended.holder.pod_uid == UID
    assert ended.until_us is not None
    assert now_us < ended.until_us <= time.time_ns() // 1_000
    assert source.read(now_us + 70 * US_PER_SECOND, READING).grants == ()

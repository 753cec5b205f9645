"""Chains of owners and ResourceSlices are asked for singly, kept, and never faster than allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.holders.kubernetes.api import ApiEndpoint, ApiError, ApiServer
from agent.holders.kubernetes.dra import SliceDevice
from agent.holders.kubernetes.errands import Errands
from agent.holders.kubernetes.owners import chain, with_owners
from agent.holders.kubernetes.single_objects import SingleObjects
from agent.holders.kubernetes.slices import NodeSlices
from agent.identity.facts import PodMetadata
from agent.identity.facts import PodOwner as Owner
from tests.agent.kubernetes_api import KubernetesApi, owner, serving_api, thing
from tests.agent.test_kubernetes_devices import SLICES
from tests.waiting import until

RS = Owner("apps/v1", "ReplicaSet", "llama-7d9f", "uid-rs")
DEPLOYMENT = Owner("apps/v1", "Deployment", "llama", "uid-d")
SERVICE = Owner("serving.kserve.io/v1beta1", "InferenceService", "llama-svc", "uid-is")
PATH_RS = "/apis/apps/v1/namespaces/ns/replicasets/llama-7d9f"
PATH_D = "/apis/apps/v1/namespaces/ns/deployments/llama"
PATH_IS = "/apis/serving.kserve.io/v1beta1/namespaces/ns/inferenceservices/llama-svc"
DISCOVERY = "/apis/serving.kserve.io/v1beta1"


def reference(of: Owner) -> dict[str, object]:
    return owner(of.kind, of.name, of.uid, of.api_version)


class Clock:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    found = KubernetesApi()
    found.objects = {
        PATH_RS: thing("llama-7d9f", "uid-rs", reference(DEPLOYMENT)),
        PATH_D: thing("llama", "uid-d", reference(SERVICE)),
        PATH_IS: thing("llama-svc", "uid-is"),
        DISCOVERY: {
            "resources": [
                {"name": "inferenceservices", "kind": "InferenceService", "namespaced": True},
                {"name": "inferenceservices/status", "kind": "InferenceService", "namespaced": True},
            ]
        },
    }
    return found


@pytest.fixture
def server(api: KubernetesApi, tmp_path: Path) -> Iterator[ApiServer]:
    (tmp_path / "token").write_text("token-1")
    with serving_api(api) as url:
        yield ApiServer(ApiEndpoint(url, tmp_path / "token"), timeout_s=5)


@pytest.fixture
def errands() -> Iterator[Errands]:
    found = Errands(per_second=1_000)
    yield found
    found.close()


def settled(objects: SingleObjects, api: KubernetesApi, first: Owner = RS) -> tuple[Owner, ...]:
    """Ask for a chain until it is whole."""
    for _ in range(1_000):
        owners, done = chain("ns", first, objects)
        if done:
            return owners
        with api.changed:
            api.changed.wait(0.01)
    raise AssertionError(owners)


def test_a_chain_is_followed_to_the_top_and_asked_for_once(
    api: KubernetesApi, server: ApiServer, errands: Errands
) -> None:
    """Kinds of custom resources too, whose plural is asked for; later pods of the same owner cost no request."""
    objects = SingleObjects(server, errands)
    assert chain("ns", RS, objects) == ((RS,), False)
    assert settled(objects, api) == (RS, DEPLOYMENT, SERVICE)
    asked = len(api.requests)
    for _ in range(50):
        assert settled(objects, api) == (RS, DEPLOYMENT, SERVICE)
    assert len(api.requests) == asked == 4
    assert all("as=PartialObjectMetadata" in accept for path, _, accept in api.requests if path != DISCOVERY)


def test_an_owner_that_may_not_be_read_ends_the_chain_for_a_while(
    api: KubernetesApi, server: ApiServer, errands: Errands
) -> None:
    """What is known so far stands; the same is not asked for again within minutes, and is afterwards."""
    clock = Clock()
    objects = SingleObjects(server, errands, monotonic=clock)
    api.forbidden = {"deployments"}
    assert settled(objects, api) == (RS, DEPLOYMENT)
    assert objects.denied == {"Deployment": 1}
    asked = len(api.requests)
    assert settled(objects, api) == (RS, DEPLOYMENT)
    assert len(api.requests) == asked
    api.forbidden = set()
    clock.now += 601
    until(lambda: settled(objects, api) == (RS, DEPLOYMENT, SERVICE))


def test_an_owner_that_is_gone_or_has_another_uid_ends_the_chain(
    api: KubernetesApi, server: ApiServer, errands: Errands
) -> None:
    """A name alone is no identity: an object of that name with another UID is not the owner."""
    api.objects[PATH_D] = thing("llama", "uid-of-another", reference(SERVICE))
    objects = SingleObjects(server, errands)
    assert settled(objects, api) == (RS, DEPLOYMENT)
    gone = Owner("batch/v1", "Job", "gone", "uid-gone")
    assert settled(objects, api, gone) == (gone,)


def test_a_pod_that_lies_about_its_owner_harms_no_other(
    api: KubernetesApi, server: ApiServer, errands: Errands
) -> None:
    """Who makes a pod writes its owner references: a forged one does not decide about the true owner of that UID."""
    objects = SingleObjects(server, errands)
    forged = Owner("apps/v1", "ReplicaSet", "mine", "uid-rs")
    assert settled(objects, api, forged) == (forged,)
    assert settled(objects, api) == (RS, DEPLOYMENT, SERVICE)


@pytest.mark.parametrize(
    "hostile",
    [
        Owner("../../api/v1", "Secret", "x", "u"),
        Owner("v1/../..", "Pod", "x", "u"),
        Owner("apps/v1", "ReplicaSet", "../../../../api/v1/secrets", "u"),
        Owner("apps/v1", "ReplicaSet", "a?watch=1", "u"),
    ],
)
def test_an_owners_name_cannot_lead_elsewhere(
    api: KubernetesApi, server: ApiServer, errands: Errands, hostile: Owner
) -> None:
    """Names and API versions are checked before they become part of an address."""
    assert settled(SingleObjects(server, errands), api, hostile) == (hostile,)
    for path, query, _ in api.requests:
        assert ".." not in path
        assert not query


def test_a_server_that_fails_leaves_the_chain_open(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """Half a chain is not sold as a whole one: it stays open until the server answers, and is asked for seldom."""
    clock = Clock()
    objects = SingleObjects(server, errands, monotonic=clock)
    api.failing = 500
    assert chain("ns", RS, objects) == ((RS,), False)
    api.wait_for(lambda: len(api.requests) == 1)
    api.failing = None
    until(lambda: errands.done > 0)
    assert chain("ns", RS, objects) == ((RS,), False)
    assert len(api.requests) == 1
    clock.now += 31
    assert settled(objects, api) == (RS, DEPLOYMENT, SERVICE)


def test_owners_and_namespace_bring_their_labels(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """Teams often label the namespace or the Deployment and not the pod: rules see these too, told apart."""
    api.objects[PATH_RS] = thing("llama-7d9f", "uid-rs", reference(DEPLOYMENT), labels={"pod-template-hash": "7d9f"})
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    api.objects[PATH_D] = thing("llama", "uid-d", labels={"team": "nlp"}, annotations={"owner": "ana", **last_applied})
    api.objects["/api/v1/namespaces/ns"] = thing("ns", "uid-ns", labels={"cost-center": "4711"}, annotations={"a": "b"})
    objects = SingleObjects(server, errands)
    pod = PodMetadata({}, {}, (RS,), "ns", "llama-x", "uid", owners_settled=False)
    until(lambda: with_owners(pod, objects).owners_settled)
    found = with_owners(pod, objects)
    assert [(one.title, one.labels, one.annotations) for one in found.owners] == [
        ("ReplicaSet/llama-7d9f", {"pod-template-hash": "7d9f"}, {}),
        ("Deployment/llama", {"team": "nlp"}, {"owner": "ana"}),
    ]
    assert (found.namespace_labels, found.namespace_annotations) == ({"cost-center": "4711"}, {"a": "b"})
    assert found.controller == "Deployment/llama"


def test_labels_of_owners_are_read_again_after_an_hour(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """What is known stands meanwhile, and also when the server then fails."""
    clock = Clock()
    objects = SingleObjects(server, errands, monotonic=clock)
    api.objects[PATH_D] = thing("llama", "uid-d", labels={"team": "old"})
    settled(objects, api, DEPLOYMENT)
    clock.now += 3_601
    api.failing = 500
    assert chain("ns", DEPLOYMENT, objects)[0][0].labels == {"team": "old"}
    until(lambda: errands.done >= 2)
    assert chain("ns", DEPLOYMENT, objects) == ((DEPLOYMENT._replace(labels={"team": "old"}),), True)
    api.failing = None
    api.objects[PATH_D] = thing("llama", "uid-d", labels={"team": "new"})
    clock.now += 31
    until(lambda: chain("ns", DEPLOYMENT, objects)[0][0].labels == {"team": "new"})


def test_an_owner_outside_of_namespaces_is_found(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """Discovery tells that a kind is in no namespace."""
    quota = Owner("example.com/v1", "Fleet", "big", "uid-f")
    api.objects["/apis/example.com/v1"] = {"resources": [{"name": "fleets", "kind": "Fleet", "namespaced": False}]}
    api.objects["/apis/example.com/v1/fleets/big"] = thing("big", "uid-f", labels={"a": "b"})
    (found,) = settled(SingleObjects(server, errands), api, quota)
    assert found.labels == {"a": "b"}


def test_a_node_is_the_top(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """A static pod is owned by its node: nothing is asked for."""
    of_node = Owner("v1", "Node", "node-a", "uid-n")
    assert chain("ns", of_node, SingleObjects(server, errands)) == ((of_node,), True)
    assert api.requests == []


def test_a_circle_of_owners_ends(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """Objects that own one another do not hold the agent up."""
    api.objects[PATH_D] = thing("llama", "uid-d", reference(RS))
    assert len(settled(SingleObjects(server, errands), api)) == 8


def test_what_is_kept_is_bounded(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """Ten thousand owners do not stay in memory."""
    objects = SingleObjects(server, errands, max_kept=3)
    for number in range(10):
        job = Owner("batch/v1", "Job", f"job-{number}", f"uid-{number}")
        api.objects[f"/apis/batch/v1/namespaces/ns/jobs/job-{number}"] = thing(job.name, job.uid)
        assert settled(objects, api, job) == (job,)
    assert len(objects) == 3


def test_requests_are_paced_and_none_is_made_twice_at_once() -> None:
    """No storm: at most so many in a second, each thing once at a time."""
    errands = Errands(per_second=50)
    ran: list[float] = []
    for _ in range(5):
        errands.ask("same", lambda: ran.append(time.monotonic()))
    for number in range(5):
        errands.ask(number, lambda: ran.append(time.monotonic()))
    until(lambda: errands.done >= 6)
    errands.close()
    assert len(ran) == 6
    assert ran[-1] - ran[0] >= 5 / 50


def test_an_errand_that_fails_stops_no_other() -> None:
    """Its failure is said, and the next one runs."""
    errands = Errands(per_second=1_000)
    ran: list[str] = []

    def fail() -> None:
        raise ApiError("on purpose")

    errands.ask("a", fail)
    errands.ask("b", lambda: ran.append("b"))
    until(lambda: ran)
    errands.close()


def test_slices_are_read_in_the_version_that_there_is(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """v1 first, older ones where it is not served; this node's only; once, and again for a device that is not known."""
    clock = Clock()
    path = "/apis/resource.k8s.io/v1beta1/resourceslices"
    api.objects[path] = json.loads(SLICES)
    slices = NodeSlices(server, errands, "node-a", monotonic=clock)
    name = ("gpu.nvidia.com", "n", "gpu-0")
    assert slices.find(name) is None
    until(lambda: slices.find(name))
    assert slices.find(name) == SliceDevice("gpu", "GPU-0")
    assert len(slices.everything()) == 2
    assert [one[0] for one in api.requests] == [path.replace("v1beta1", v) for v in ("v1", "v1beta2", "v1beta1")]
    assert api.requests[-1][1] == {"fieldSelector": "spec.nodeName=node-a"}
    assert slices.find(("gpu.nvidia.com", "n", "new")) is None
    assert len(api.requests) == 3
    clock.now += 31
    slices.find(("gpu.nvidia.com", "n", "new"))
    api.wait_for(lambda: len(api.requests) == 4)


def test_a_cluster_without_slices_has_none(api: KubernetesApi, server: ApiServer, errands: Errands) -> None:
    """An API server that serves no version of them is no failure."""
    slices = NodeSlices(server, errands, "node-a")
    assert slices.everything() == {}
    until(lambda: errands.done > 0)
    assert slices.everything() == {}

"""What objects of Kubernetes ask for, and what jobs of Slurm do, from documents as they are sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.enforcement.asks import Ask, in_gpus
from collector.enforcement.fields import MOST, whole_quantity
from collector.enforcement.pods import Gpus, pod_demand
from collector.enforcement.reviews import ask_of, may_ask, parse_review
from collector.enforcement.slurm_jobs import array_tasks, job_ask
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import AdmissionError
from tests.collector.reviews import Object, container, made, pod, pod_spec, review, sent, template
from tests.deploy.manifests import require_module

H100 = "NVIDIA-H100-80GB-HBM3"
TWO = pod_spec(container(gpus="2"))


def asked(document: Object, **request: Any) -> Ask:
    """Return what the review of an object asks for, as it arrives."""
    request_ = parse_review(sent(review(document, **request)))
    assert may_ask(request_)
    return ask_of(request_, "c1", {"1g.10gb": 120})


def gpus(spec: Object) -> float:
    """Return how many GPUs a pod asks for."""
    return sum(each.parts for each in pod_demand(spec).gpus) / GPU_PARTS


def replicas(number: int, **more: Any) -> Object:
    return {"replicas": number, "selector": {"matchLabels": {"app": "train"}}, "template": template(TWO), **more}


def worker(number: int) -> Object:
    return {"replicas": number, "restartPolicy": "OnFailure", "template": template(TWO)}


KINDS = [
    ("", "ReplicationController", {**replicas(3), "selector": {"app": "train"}}, 6),
    ("apps", "Deployment", replicas(3), 6),
    ("apps", "ReplicaSet", replicas(3), 6),
    ("apps", "StatefulSet", replicas(0, serviceName="train"), 0),
    ("apps", "DaemonSet", {"selector": {"matchLabels": {"app": "train"}}, "template": template(TWO)}, 2),
    ("batch", "Job", {"parallelism": 4, "completions": 3, "template": template(TWO)}, 6),
    ("batch", "Job", {"parallelism": 4, "suspend": True, "template": template(TWO)}, 0),
    ("batch", "CronJob", {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"parallelism": 2, "template": template(TWO)}}}, 4),
    ("kubeflow.org", "PyTorchJob", {"pytorchReplicaSpecs": {"Master": worker(1), "Worker": worker(3)}}, 8),
    ("kubeflow.org", "MPIJob", {"mpiReplicaSpecs": {"Launcher": {"replicas": 1, "template": template(pod_spec(container()))}, "Worker": worker(2)}}, 4),
    ("kubeflow.org", "Notebook", {"template": template(TWO)}, 2),
    ("ray.io", "RayCluster", {"headGroupSpec": {"template": template(pod_spec(container()))}, "workerGroupSpecs": [{"groupName": "g", "replicas": 2, "numOfHosts": 2, "template": template(TWO)}]}, 8),
    ("ray.io", "RayJob", {"entrypoint": "python x.py", "rayClusterSpec": {"headGroupSpec": {"template": template(TWO)}}}, 2),
]  # fmt: skip


@pytest.mark.parametrize(("group", "kind", "spec", "expected"), KINDS, ids=[each[1] for each in KINDS])
def test_pods_are_found_in_every_kind(group: str, kind: str, spec: Object, expected: int) -> None:
    """Each kind has its pod template at a path of its own and makes so many pods of it."""
    document = made(group, kind, spec)
    if group in ("", "apps", "batch"):
        require_module("kubernetes_validate", "kubernetes-validate").validate(document, "1.37", strict=True)
    found = asked(document)
    assert found.parts == expected * GPU_PARTS
    assert (found.kind, found.namespace, found.name, found.user) == (kind, "nlp", "train", "ana@acme.example")
    assert not found.takes, "its pods are asked about themselves"


def test_a_pod_is_as_the_schema_of_kubernetes_has_it() -> None:
    """The documents of these tests are what an API server would send, as far as a schema can tell."""
    validate = require_module("kubernetes_validate", "kubernetes-validate").validate
    for each in (pod(), pod(pod_spec(container(gpus="1", resource="nvidia.com/mig-1g.10gb")))):
        validate(each, "1.37", strict=True)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (pod_spec(container(gpus="2"), container("side")), 2),
        (pod_spec(container(gpus="2"), container("more", gpus=1)), 3),
        (pod_spec(container(gpus="1"), initContainers=[container("fetch", gpus="4")]), 4),
        (pod_spec(container(gpus="3"), initContainers=[container("a", gpus="2"), container("b", gpus="2")]), 3),
        (pod_spec(container(gpus="1"), initContainers=[container("side", gpus="1", restartPolicy="Always")]), 2),
        (
            pod_spec(
                container(gpus="1"),
                initContainers=[container("side", gpus="1", restartPolicy="Always"), container("fetch", gpus="2")],
            ),
            3,
        ),
        (
            pod_spec(
                container(gpus="1"),
                initContainers=[container("fetch", gpus="2"), container("side", gpus="1", restartPolicy="Always")],
            ),
            2,
        ),
        (pod_spec(container(gpus="1"), overhead={"nvidia.com/gpu": "1", "cpu": "250m"}), 2),
        (pod_spec(container(gpus="1", resource="amd.com/gpu")), 1),
        (pod_spec(container(gpus="0")), 0),
        (pod_spec(container(gpus="1k")), 1000),
        (pod_spec({"name": "x", "resources": {"limits": {"nvidia.com/gpu": "2"}}}), 2),
    ],
)
def test_gpus_are_counted_as_the_scheduler_does(spec: Object, expected: float) -> None:
    """The larger of what containers need together and what any step of the start needs, and the overhead."""
    assert gpus(spec) == expected


def kinds(spec: Object, profiles: dict[str, int] | None = None) -> list[Gpus]:
    return list(pod_demand(spec, profiles).gpus)


def affinity(*terms: list[str]) -> Object:
    expressions = [
        {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": values}]}
        for values in terms
    ]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": expressions}}}


def test_models_come_from_labels_for_nodes() -> None:
    """A node selector, a required affinity with one value; several values, or none, leave the model open."""
    selector = {"nvidia.com/gpu.product": H100}
    assert kinds(pod_spec(nodeSelector=selector)) == [Gpus(H100, "", GPU_PARTS)]
    assert kinds(pod_spec(affinity=affinity([H100]))) == [Gpus(H100, "", GPU_PARTS)]
    several = pod_demand(pod_spec(affinity=affinity([H100, "NVIDIA-L40S"])))
    assert several.gpus == (Gpus("", "", GPU_PARTS),)
    assert several.notes == ("it may run on any of 2 models",)
    assert kinds(pod_spec()) == [Gpus("", "", GPU_PARTS)]


def test_slices_and_shared_gpus_are_parts() -> None:
    """MIG resources, MIG in the product label (strategy single), time-slicing with and without the number of replicas."""
    mig = pod_spec(container(gpus="2", resource="nvidia.com/mig-1g.10gb"))
    assert kinds(mig) == [Gpus("", "1g.10gb", 240)]
    assert kinds(mig, {"1g.10gb": 210}) == [Gpus("", "1g.10gb", 420)], "as the ledger has seen it"
    single = pod_spec(nodeSelector={"nvidia.com/gpu.product": f"{H100}-MIG-3g.40gb"})
    assert kinds(single) == [Gpus(H100, "3g.40gb", 360)]
    shared = {"nvidia.com/gpu.product": f"{H100}-SHARED", "nvidia.com/gpu.replicas": "4"}
    assert kinds(pod_spec(nodeSelector=shared)) == [Gpus(H100, "", 210)]
    renamed = pod_demand(pod_spec(container(gpus="1", resource="nvidia.com/gpu.shared")))
    assert renamed.gpus == (Gpus("", "", GPU_PARTS),)
    assert "it does not say" in renamed.notes[0]


def test_an_update_asks_for_what_it_adds() -> None:
    """More replicas ask for the difference; fewer, or another image, for nothing."""
    two, five = (made("apps", "Deployment", replicas(number)) for number in (2, 5))
    assert asked(five, operation="UPDATE", before=two).parts == 6 * GPU_PARTS
    assert asked(two, operation="UPDATE", before=five).parts == 0


@pytest.mark.parametrize(
    "document",
    [
        review(pod(pod_spec(container()))),
        review(None, operation="DELETE", before=pod()),
        review(None, operation="CONNECT"),
        review(pod(), operation="UPDATE", before=pod(), subResource="status"),
        review({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}),
    ],
)
def test_what_cannot_ask_for_a_gpu_is_not_read(document: Object) -> None:
    """Most requests are of this kind, and are answered before their object is decoded."""
    assert not may_ask(parse_review(sent(document)))


def claim(kind: str, *requests: Object) -> Object:
    spec: Object = {"devices": {"requests": list(requests)}}
    return made("resource.k8s.io", kind, {"spec": spec} if kind.endswith("Template") else spec)


def test_claims_of_dynamic_resource_allocation() -> None:
    """v1 has `exactly`, v1beta1 the request itself; of alternatives the largest counts; other drivers are not ours."""
    exact = {
        "name": "gpu",
        "exactly": {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 2},
    }
    old = {"name": "gpu", "deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 3}
    either = {"name": "gpu", "firstAvailable": [
        {"name": "many", "deviceClassName": "gpu.nvidia.com", "count": 4},
        {"name": "few", "deviceClassName": "gpu.nvidia.com", "count": 1},
    ]}  # fmt: skip
    nic = {"name": "nic", "exactly": {"deviceClassName": "dra.net", "count": 9}}
    found = asked(claim("ResourceClaim", exact, nic))
    assert (found.parts, found.takes) == (2 * GPU_PARTS, True)
    assert asked(claim("ResourceClaimTemplate", old)).parts == 3 * GPU_PARTS
    assert asked(claim("ResourceClaim", either)).parts == 4 * GPU_PARTS
    everything = {"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "allocationMode": "All"}}
    assert "all GPUs of a node" in asked(claim("ResourceClaim", everything)).notes[0]
    by_claim = pod(pod_spec(container(gpus="1"), resourceClaims=[{"name": "gpu", "resourceClaimName": "shared"}]))
    assert "asked about themselves" in asked(by_claim).notes[0]


def test_owner_rules_see_what_the_ledger_will_know_of_the_holder() -> None:
    """Namespace, pod, labels of the pod itself, and the team that labels, queues or a variable claim."""
    named = asked(pod(labels={"team": "nlp", "app": "x"}))
    assert named.attributes == {
        "kind": "pod", "cluster": "c1", "namespace": "nlp", "pod": "train", "team_claim": "nlp", "label.team": "nlp",
        "label.app": "x",
    }  # fmt: skip
    queued = asked(made("batch", "Job", {"template": template(TWO)}, labels={"kueue.x-k8s.io/queue-name": "q1"}))
    assert queued.attributes["team_claim"] == "q1"
    assert "label.kueue.x-k8s.io/queue-name" not in queued.attributes, "labels are those of the pods"
    variable = container(gpus="1", env=[{"name": "GPULEDGER_TEAM", "value": "vision"}])
    assert asked(pod(pod_spec(variable))).attributes["team_claim"] == "vision"
    assert asked(pod(generateName="train-", name="")).name == "train-"


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": "no", "x": "nvidia.com/gpu"},
        {"containers": [7], "x": "nvidia.com/gpu"},
        pod_spec(container(gpus="many")),
        pod_spec(container(gpus="0.5")),
        pod_spec(container(gpus="-1")),
        pod_spec(container(gpus=True)),
        pod_spec(container(gpus="9999999999999999999999")),
        pod_spec(container(gpus={"a": 1})),
        pod_spec(nodeSelector={"nvidia.com/gpu.product": 7}),
        pod_spec(affinity=affinity("H100")),  # type: ignore[arg-type]
    ],
)
def test_a_broken_pod_is_told_from_one_without_gpus(spec: Object) -> None:
    """It is an error, never nothing: what cannot be read is for the settings of doubt to decide."""
    with pytest.raises(AdmissionError):
        asked(pod(spec))


@given(st.integers(0, MOST), st.sampled_from(["", "k", "000m"]))
def test_quantities_are_read_back(number: int, suffix: str) -> None:
    """However it is written, a whole quantity is its number; beyond a million it is a mistake."""
    value = number * (1000 if suffix == "k" else 1)
    if value > MOST:
        with pytest.raises(AdmissionError):
            whole_quantity(f"{number}{suffix}", "x")
    else:
        assert whole_quantity(f"{number}{suffix}", "x") == value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tres_per_node": "gres:gpu:2", "nodes": "2"}, [Gpus("", "", 4 * GPU_PARTS)]),
        ({"tres_per_node": "gres/gpu:h100:2"}, [Gpus("h100", "", 2 * GPU_PARTS)]),
        ({"tres_per_job": "gres:gpu", "nodes": "4294967294"}, [Gpus("", "", GPU_PARTS)]),
        ({"tres_per_task": "gres/gpu=1", "tasks": "8"}, [Gpus("", "", 8 * GPU_PARTS)]),
        ({"tres_per_socket": "gres:gpu:1", "nodes": "2", "sockets_per_node": "2"}, [Gpus("", "", 4 * GPU_PARTS)]),
        ({"tres_per_node": "gres:gpu:a100:1,gres:gpu:h100:1,license:x:3"}, [Gpus("a100", "", GPU_PARTS), Gpus("h100", "", GPU_PARTS)]),
        ({"tres_per_node": "gres:gpu:1", "array": "0-15%4"}, [Gpus("", "", 4 * GPU_PARTS)]),
        ({"tres_per_job": "gres:gpu: 2", "array": " 0- +3% 9"}, [Gpus("", "", 8 * GPU_PARTS)]),
        ({"tres_per_job": "gres:gpu:h100:+1k"}, [Gpus("h100", "", 1024 * GPU_PARTS)]),
        ({"tres_per_job": "gres:gpu:0K"}, []),
        ({"tres_per_node": "gres:gpu:8", "tasks": "32", "tasks_per_node": "5"}, [Gpus("", "", 56 * GPU_PARTS)]),
        ({"tasks": "7", "tasks_per_gpu": "2"}, [Gpus("", "", 4 * GPU_PARTS)]),
        ({"tres_per_job": "gres:gpu:8", "tres_per_node": "gres:gpu:4", "nodes": "2"}, [Gpus("", "", 8 * GPU_PARTS)]),
        ({"tres_per_job": "gpu:8", "tres_per_node": "gpu:h100:2,gpu:a100:1", "nodes": "2"}, [
            Gpus("", "", 2 * GPU_PARTS), Gpus("a100", "", 2 * GPU_PARTS), Gpus("h100", "", 4 * GPU_PARTS)]),
        ({"name": "cpu only"}, []),
    ],
)  # fmt: skip
def test_gpus_of_slurm_jobs(fields: dict[str, str], expected: list[Gpus]) -> None:
    """As job_submit has them: for a node, a task, a socket or the job; very large numbers mean that nothing was said."""
    assert list(job_ask(fields, "c1").gpus) == expected


def test_a_job_that_names_several_partitions_may_come_to_any() -> None:
    """Each is one that it may be decided by, the same once; a name is one line and no longer than can be read."""
    ask = job_ask({"partition": "a,b,a,c", "account": "nlp", "name": "x\nallow\x1b[2J" + "y" * 10_000}, "")
    ways = [ask.attributes, *ask.otherwise]
    assert [(each["slurm_partition"], each["slurm_account"]) for each in ways] == [(name, "nlp") for name in "abc"]
    assert ask.name == "x?allow?[2J" + "y" * 189
    assert job_ask({"job": "7"}, "").uid != job_ask({"job": "7"}, "").uid, "who asks again is decided again"


def test_broken_jobs_are_refused() -> None:
    """Unknown fields, counts that are none, arrays that are none."""
    for fields in (
        {"tres": "x"},
        {"tres_per_job": "gres:gpu:x:y:z"},
        {"tres_per_job": "gpu", "nodes": "two"},
        {"array": "a"},
        {"partition": ",".join(map(str, range(102)))},
    ):
        with pytest.raises(AdmissionError):
            job_ask(fields, "")
    assert [array_tasks(each) for each in ("", "7", "0-9", "0-9:2", "1,3,5-6", "[0-99%10]")] == [1, 1, 10, 5, 4, 10]
    assert "shard" in job_ask({"tres_per_node": "gres:shard:2"}, "").notes[0]


def test_parts_read_as_gpus() -> None:
    """Whole numbers stay whole."""
    assert [in_gpus(parts) for parts in (840, 8400, 120, 210)] == ["1", "10", "0.14", "0.25"]

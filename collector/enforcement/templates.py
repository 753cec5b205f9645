"""Where the pods of each kind of object are described, and how many of them it makes at once. Pure.

Kinds of operators keep their pod templates at paths of their own; one that is not in the table makes pods that are
asked about themselves, so nothing slips through: its owner only hears of a refusal later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from collector.enforcement.fields import Object, count, inner, items
from gpuledger.errors import AdmissionError

TRAINING: Final = ("pytorch", "tf", "mpi", "xgb", "paddle", "jax", "mx")


class Pods(NamedTuple):
    """`replicas` pods of one template: its metadata and its spec."""

    template: Object
    replicas: int


_Reader = Callable[[Object], Iterator[Pods]]


def pods_of(group: str, kind: str, made: Object) -> list[Pods] | None:
    """Return the pods that an object makes; None where its kind is not known. Raises AdmissionError on a broken one."""
    reader = _READERS.get((group, kind))
    return None if reader is None else list(reader(made))


def known_kinds() -> list[tuple[str, str]]:
    """Return groups and kinds whose pods are found."""
    return sorted(_READERS)


def _pod(made: Object) -> Iterator[Pods]:
    yield Pods(made, 1)


def _replicated(made: Object) -> Iterator[Pods]:
    spec = inner(made, "spec")
    yield Pods(inner(spec, "template"), count(spec, "replicas", 1))


def _once(made: Object) -> Iterator[Pods]:
    """Yield a template that makes one pod, or one a node, of which nobody knows how many there are."""
    yield Pods(inner(inner(made, "spec"), "template"), 1)


def _job(made: Object) -> Iterator[Pods]:
    yield from _job_spec(inner(made, "spec"))


def _job_spec(spec: Object, times: int = 1) -> Iterator[Pods]:
    parallel = count(spec, "parallelism", 1)
    completions = count(spec, "completions", parallel) if spec.get("completions") is not None else parallel
    suspended = spec.get("suspend") is True  # a queue such as Kueue starts it later, and its pods are asked about then
    yield Pods(inner(spec, "template"), 0 if suspended else times * min(parallel, completions))


def _cron_job(made: Object) -> Iterator[Pods]:
    yield from _job_spec(inner(inner(inner(made, "spec"), "jobTemplate"), "spec"))


def _training(made: Object) -> Iterator[Pods]:
    spec = inner(made, "spec")
    for framework in TRAINING:
        for role in _objects(inner(spec, f"{framework}ReplicaSpecs")):
            yield Pods(inner(role, "template"), count(role, "replicas", 1))


def _ray_cluster(made: Object) -> Iterator[Pods]:
    yield from _ray_spec(inner(made, "spec"))


def _ray_job(made: Object) -> Iterator[Pods]:
    yield from _ray_spec(inner(inner(made, "spec"), "rayClusterSpec"))


def _ray_service(made: Object) -> Iterator[Pods]:
    yield from _ray_spec(inner(inner(made, "spec"), "rayClusterConfig"))


def _ray_spec(spec: Object) -> Iterator[Pods]:
    yield Pods(inner(inner(spec, "headGroupSpec"), "template"), 1)
    for workers in items(spec, "workerGroupSpecs"):
        hosts = count(workers, "replicas", 1) * count(workers, "numOfHosts", 1)
        yield Pods(inner(workers, "template"), hosts)


def _job_set(made: Object) -> Iterator[Pods]:
    for role in items(inner(made, "spec"), "replicatedJobs"):
        yield from _job_spec(inner(inner(role, "template"), "spec"), count(role, "replicas", 1))


def _leader_worker_set(made: Object) -> Iterator[Pods]:
    spec = inner(made, "spec")
    groups, both = count(spec, "replicas", 1), inner(spec, "leaderWorkerTemplate")
    workers = inner(both, "workerTemplate")
    yield Pods(inner(both, "leaderTemplate") or workers, groups)
    yield Pods(workers, groups * max(0, count(both, "size", 1) - 1))


def _volcano_job(made: Object) -> Iterator[Pods]:
    for task in items(inner(made, "spec"), "tasks"):
        yield Pods(inner(task, "template"), count(task, "replicas", 1))


def _objects(owner: Object) -> Iterator[Object]:
    for name in owner:
        found = inner(owner, name)
        if not found:
            raise AdmissionError(f"{name} is no object")
        yield found


_READERS: Final[dict[tuple[str, str], _Reader]] = {
    ("", "Pod"): _pod,
    ("", "ReplicationController"): _replicated,
    ("apps", "Deployment"): _replicated,
    ("apps", "ReplicaSet"): _replicated,
    ("apps", "StatefulSet"): _replicated,
    ("apps", "DaemonSet"): _once,
    ("argoproj.io", "Rollout"): _replicated,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("batch.volcano.sh", "Job"): _volcano_job,
    ("jobset.x-k8s.io", "JobSet"): _job_set,
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"): _leader_worker_set,
    ("ray.io", "RayCluster"): _ray_cluster,
    ("ray.io", "RayJob"): _ray_job,
    ("ray.io", "RayService"): _ray_service,
    **{
        ("kubeflow.org", f"{name}Job"): _training for name in ("PyTorch", "TF", "MPI", "XGBoost", "Paddle", "JAX", "MX")
    },
    ("kubeflow.org", "Notebook"): _once,
}

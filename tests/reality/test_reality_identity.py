"""Pods as real builders and real clusters make them are recognised, and what users submit is not mistaken."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.identity.facts import PodMetadata, PodOwner
from agent.identity.identify import Identifier, Identity
from agent.identity.rulebook import RuleBook

_PODS = (
    Path(os.environ.get("GPULEDGER_REALITY_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "mlops_pods"
)
_UNUSED = {"HAMi"}  # says how a GPU is cut, which the driver tells better, and nothing of what runs
_IDENTIFIER = Identifier(RuleBook())


@pytest.fixture(autouse=True)
def _needs_the_data() -> None:
    if not _PODS.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{_PODS} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"{_PODS} is missing: set GPULEDGER_REALITY_DATA")


def documents(name: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((_PODS / name).read_text("utf-8")) if document]


def metadata(document: dict[str, Any], *owners: PodOwner) -> PodMetadata:
    """Return the metadata of an object's pods: of a job that of its template."""
    found = document["metadata"]
    template = document.get("spec", {}).get("template", {}).get("metadata")
    own = tuple(
        PodOwner(one["apiVersion"], one["kind"], one["name"], one["uid"]) for one in found.get("ownerReferences", ())
    )
    labels = {**found.get("labels", {}), **((template or {}).get("labels") or {})}
    return PodMetadata(
        labels, found.get("annotations", {}), own or owners, found.get("namespace", ""), found.get("name", "")
    )


def submitted(document: dict[str, Any]) -> PodMetadata:
    """Return a pod of an object that a user submits, before any controller has labelled it: its owner is all there is."""
    found = document["metadata"]
    owner = PodOwner(document["apiVersion"], document["kind"], found.get("name", "x"), "uid", found.get("labels", {}))
    return PodMetadata(owners=(owner,), namespace="ns")


def identify(pod: PodMetadata) -> Identity:
    return _IDENTIFIER.identify(None, (), pod)


def summary(found: Identity) -> tuple[str, ...]:
    assert found.workload is not None
    return (found.workload.system, found.workload.scope, found.workload.id, found.workload.name, found.team_claim)


RAY = "qwen-coder-7b-instruct-77d9bbd669-s68dw"
RECOGNISED = {
    "generated__airflow_kpo.yaml": [
        ("airflow", "task", "weekly_finetune/scheduled__2026-08-17T0000000000-34db9d048/finetune_llama",
         "weekly_finetune/finetune_llama", "nlp"),
    ],
    "generated__dagster_run_and_step.yaml": [
        ("dagster", "run", "5f3c2c1e-6f2d-4a55-9c58-0f8c1d6e7a90", "train_ranker", ""),
        ("dagster", "step", "5f3c2c1e-6f2d-4a55-9c58-0f8c1d6e7a90/fit_model", "train_ranker/fit_model", ""),
    ],
    "generated__jupyterhub.yaml": [
        ("jupyterhub", "server", "ana.souza@example.org", "jupyter-ana.souza@example.org", "ana.souza@example.org"),
    ],
    "live__runai_fractional_pod.yaml": [
        ("runai", "workload", "027397ab-4c3c-45f7-87d0-8b3bae4ded65", "frac-1", "pa"),
    ],
    "live__runai_mig_1g5gb_pod.yaml": [
        ("runai", "workload", "a369bc70-fa23-4181-a163-c749f2e49ba1", "job-2", "team-a"),
    ],
    "live_metadata__kserve_knative.yaml": [
        ("knative", "revision",
         "tenant-84e585-dev/stable-diffusion-predictor-default/stable-diffusion-predictor-default-00001",
         "stable-diffusion-predictor-default", ""),
    ],
    "live_metadata__kubeflow_mpijob_under_kueue.yaml": [
        ("kubeflow", "training job", "default/pi", "pi", ""),
        ("kubeflow", "training job", "default/pi", "pi", ""),
    ],
    "live_metadata__ray_head_aibrix.yaml": [("ray", "RayCluster", "b51b8718-f517-4dd6-a5c5-50695fe54944", RAY, "")],
}  # fmt: skip


@pytest.mark.parametrize("name", RECOGNISED)
def test_pods_of_real_builders_and_clusters_are_recognised(name: str) -> None:
    """What the systems really wrote is told with its ids, its name and its team."""
    assert [summary(identify(metadata(document))) for document in documents(name)] == RECOGNISED[name]


def test_a_prefect_job_is_recognised_with_its_slug() -> None:
    """The pod's template carries the flow run; names are slugs there, the raw ones are in the environment."""
    job = documents("generated__prefect_job.yaml")[0]["job"]
    found = summary(identify(metadata(job)))
    assert found == ("prefect", "flow run", "8f0f1b0e-7f63-4d2c-9d2e-3c1f5a6b7c8d", "finetune-llama", "")


SUBMITTED = {
    "manifest__kai_pytorchjob.yaml": ("kubeflow", "training job", "uid", "pytorch-dist-mnist-nccl", "default-queue"),
    "manifest__kserve_isvc_tf.yaml": ("kserve", "InferenceService", "ns/tensorflow-gpu", "tensorflow-gpu", ""),
    "manifest__kserve_llmisvc.yaml": ("kserve", "LLMInferenceService", "ns/qwen3-coder-tool-calling", "qwen3-coder-tool-calling", ""),
    "manifest__kueue_lws.yaml": ("lws", "LeaderWorkerSet", "uid", "nginx-leaderworkerset", "tas-user-queue"),
    "manifest__lws_vllm.yaml": ("lws", "LeaderWorkerSet", "uid", "vllm", ""),
    "manifest__ray_job.yaml": ("ray", "RayJob", "uid", "rayjob-sample", ""),
    "manifest__ray_service.yaml": ("ray", "RayService", "uid", "deepseek-r1", ""),
    "manifest__trainer_trainjob.yaml": ("kubeflow", "TrainJob", "uid", "lammps-flux", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SUBMITTED)
def test_an_owner_alone_tells_what_a_pod_is_for(name: str) -> None:
    """Where no controller has labelled the pod, the object that owns it still says what it is."""
    assert summary(identify(submitted(documents(name)[0]))) == SUBMITTED[name]


def test_pods_without_a_system_are_not_taken_for_one() -> None:
    """Pods of an interactive portal, bare pods and vGPU pods have no marks that a rule knows."""
    bare = json.loads((_PODS / "live__ood_several_pods.json").read_text("utf-8"))["items"]
    others = [*bare, *documents("manifest__hami_vgpu.yaml")]
    assert others
    assert [identify(metadata(document)).workload for document in others] == [None] * len(others)


def contracts() -> Iterator[tuple[str, set[str]]]:
    """Yield each system of the table of label contracts with the keys that carry its job, run or team."""
    with (_PODS / "label_contracts.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            keys = [part.split(" (")[0].strip() for part in row["key"].split(";")]
            prefix = keys[0].partition("/")[0]
            yield row["system"], {key.replace("...", prefix, 1) for key in keys}


def test_a_rule_looks_at_something_of_every_contract() -> None:
    """Of each contract at least one key decides; a system that only says how a GPU is cut is named here."""
    book = RuleBook()
    looked_at = book.label_patterns() | book.annotation_patterns()
    unmet = {(system, *sorted(keys)) for system, keys in contracts() if system not in _UNUSED and not keys & looked_at}
    by_owner = {
        ("KServe", "model"),  # which model of a service: the service is what bills
        ("KubeRay", "ray.io/originated-from-cr-name", "ray.io/originated-from-crd"),  # on the cluster: the owners tell
    }
    assert unmet == by_owner

"""Which of several workloads bills, and whose claim of a team is believed."""

from __future__ import annotations

import pytest

from agent.identity.facts import ContainerFacts, PodMetadata
from agent.identity.identify import Identifier, Identity
from agent.identity.identify import described as with_identity
from gpuledger.model import Holder
from tests.agent.identities import BOOK, identify, owner, pod, started

AIRFLOW = {"AIRFLOW_CTX_DAG_ID": "d", "AIRFLOW_CTX_TASK_ID": "t", "AIRFLOW_CTX_DAG_RUN_ID": "r"}


def kinds(found: Identity) -> list[str]:
    assert found.workload is not None
    return [f"{one.system} {one.scope}" for one in (found.workload, *found.context)]


def test_the_innermost_workload_bills_and_the_others_are_its_context() -> None:
    """A tracked run in a stage in a task in a pod in a queue: from the inside out, whatever order the marks come in."""
    around = pod(
        owner("Job", "x", "u-1"),
        annotations={"kueue.x-k8s.io/workload": "job-x"},
        **{"batch.kubernetes.io/job-name": "x"},
    )
    process = started(RANK="0", WORLD_SIZE="2", MASTER_ADDR="h", MASTER_PORT="1", GPULEDGER_WORKLOAD="mine",
                      DVC_ROOT="/r", DVC_STAGE="train", MLFLOW_RUN_ID="m1", **AIRFLOW)  # fmt: skip
    found = identify(process, inside=around)
    assert kinds(found) == [
        "mlflow run", "dvc stage", "airflow task", "kubernetes Job", "claim claim", "kueue workload", "distributed ranks",
    ]  # fmt: skip
    assert found.rule == "mlflow-run"


def test_an_ancestor_speaks_where_the_process_is_silent() -> None:
    """A tool marks what it starts; what that starts is its own as well, and the nearest ancestor is believed."""
    found = identify(
        started("python"), started(MLFLOW_RUN_ID="near"), started(MLFLOW_RUN_ID="far", DVC_STAGE="s", DVC_ROOT="/r")
    )
    assert kinds(found) == ["mlflow run", "dvc stage"]
    assert (found.workload.id, found.workload_source) == ("near", "env:MLFLOW_RUN_ID@ancestor")  # type: ignore[union-attr]


def test_facts_of_one_rule_come_from_one_process() -> None:
    """An id is never put together from a parent and its child."""
    found = identify(started(DVC_STAGE="train"), started(DVC_ROOT="/elsewhere"))
    assert found.workload is None


def test_a_name_may_stand_further_out_than_the_id() -> None:
    """A served model's worker knows its id, its parent how people call it."""
    model = f"m-{'0a' * 16}"
    worker = started("uvicorn", __pyfunc_model_path__=f"/x/models/{model}/artifacts")
    workload = identify(worker, started("mlflow", "models", "serve", "-m", "models:/gpumodel/1")).workload
    assert workload is not None
    assert (workload.id, workload.name) == (model, "models:/gpumodel/1")


def test_a_claimed_workload_is_below_what_controllers_set() -> None:
    """GPULEDGER_WORKLOAD names what nothing else names; over a bare Deployment it wins, over a job it does not."""
    claimed = started(GPULEDGER_WORKLOAD="mine")
    assert kinds(identify(claimed, inside=pod(owner("Deployment", "web", "u")))) == [
        "claim claim",
        "kubernetes controller",
    ]
    assert kinds(identify(claimed, inside=pod(owner("Job", "x", "u"))))[0] == "kubernetes Job"


FULL = started(
    GPULEDGER_TEAM="claimed", SLURM_JOB_ACCOUNT="account", AIRFLOW_CTX_DAG_OWNER="dag", WANDB_ENTITY="entity",
    JUPYTERHUB_USER="ana", MLFLOW_RUN_CONTEXT='{"team": "context"}',
)  # fmt: skip


def described(**changes: object) -> PodMetadata:
    return PodMetadata(
        {"team": "label", "cost-center": "cc", "kueue.x-k8s.io/local-queue-name": "queue"},
        {},
        (owner("ReplicaSet", "r", team="lower"), owner("Deployment", "d", team="top")),
        "ns",
        "p",
        namespace_labels={"team": "namespace"},
        namespace_annotations={"owner": "profile"},
    )._replace(**changes)


LADDER = [
    ("label", "label:team", described()),
    ("cc", "label:cost-center", described(labels={"cost-center": "cc", "kueue.x-k8s.io/local-queue-name": "queue"})),
    ("queue", "label:kueue.x-k8s.io/local-queue-name", described(labels={"kueue.x-k8s.io/local-queue-name": "queue"})),
    ("top", "owner_label:team", described(labels={})),
    ("namespace", "namespace_label:team", described(labels={}, owners=())),
    ("profile", "namespace_annotation:owner", described(labels={}, owners=(), namespace_labels={})),
    ("dag", "env:AIRFLOW_CTX_DAG_OWNER", PodMetadata()),
]


@pytest.mark.parametrize(("team", "source", "metadata"), LADDER, ids=[source for _, source, _ in LADDER])
def test_a_team_is_read_where_the_strongest_authority_names_it(team: str, source: str, metadata: PodMetadata) -> None:
    """Pod label, queue, top owner, namespace, what controllers put into the environment; and the source is said."""
    found = identify(FULL, inside=metadata)
    assert (found.team_claim, found.team_source) == (team, source)


def test_what_a_user_claims_is_believed_last() -> None:
    """GPULEDGER_TEAM counts where nobody else names a team, and above a run's own tags."""
    environ = dict(FULL.environ)
    order = [
        "AIRFLOW_CTX_DAG_OWNER",
        "SLURM_JOB_ACCOUNT",
        "WANDB_ENTITY",
        "JUPYTERHUB_USER",
        "GPULEDGER_TEAM",
        "MLFLOW_RUN_CONTEXT.team",
    ]
    for name in order:
        found = identify(FULL._replace(environ=environ))
        assert (found.team_claim, found.team_source) == (environ.pop(name), f"env:{name}")
    assert identify(FULL._replace(environ=environ)).team_claim == ""


def test_a_container_may_be_labelled_with_its_team() -> None:
    """Without an orchestrator the container's own label takes the place of a pod's."""
    found = Identifier(BOOK).identify(FULL, (), None, ContainerFacts("a" * 64, labels={"team": "vision"}))
    assert (found.team_claim, found.team_source) == ("vision", "container_label:team")


def test_a_grant_without_a_process_has_an_identity_too() -> None:
    """A pod that has not opened its GPU yet is known by its labels alone."""
    found = Identifier(BOOK).identify(None, (), pod(owner("TrainJob", "bert", "u-1"), team="nlp"))
    assert found.workload is not None
    assert (found.workload.id, found.team_claim) == ("u-1", "nlp")


def test_context_and_source_are_kept_as_labels_of_the_holder() -> None:
    """What a holder has no field for is text, in the stated order."""
    found = identify(started(MLFLOW_RUN_ID="m1", **AIRFLOW))
    assert found.labels() == {"workload_source": "env:MLFLOW_RUN_ID", "workload_context": "airflow:task:d/r/t"}


def test_a_holder_that_a_scheduler_named_gets_its_identity() -> None:
    """A grant's holder keeps its key and labels, and says what it runs although no process runs yet."""
    found = Identifier(BOOK).identify(None, (), pod(owner("TrainJob", "bert", "u-1"), team="nlp"))
    holder = with_identity(Holder("pod:u/main", "pod", labels={"app": "x"}), found)
    assert (holder.key, holder.workload, holder.team_claim, holder.team_source) == (
        "pod:u/main",
        found.workload,
        "nlp",
        "label:team",
    )
    assert holder.labels == {"app": "x", "workload_source": "owner_uid:TrainJob"}

"""Every MLOps system that marks what it starts is recognised by its marks."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from agent.holders.processes import ProcessFacts
from agent.identity.facts import ContainerFacts, PodMetadata
from tests.agent.identities import identify, owner, pod, started
from tests.agent.nodes import process

RUN = "0af7651916cd43dd8448eb211c80319c"
UUID = "8f0f1b0e-7f63-4d2c-9d2e-3c1f5a6b7c8d"
ARGO_NODE = "train-x7k2p-1234567890"
SLURM = "0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n"


def pipes(document: dict[str, object]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()


PROCESSES = {
    "mlflow run": (
        started(MLFLOW_RUN_ID=RUN, MLFLOW_EXPERIMENT_NAME="nightly"),
        ("mlflow", "run", RUN, f"nightly/{RUN}"),
    ),
    "mlflow model, worker": (
        started(
            "uvicorn", "mlflow.pyfunc.scoring_server.app:app", __pyfunc_model_path__=f"/m/models/m-{RUN}/artifacts"
        ),
        ("mlflow", "model", f"m-{RUN}", ""),
    ),
    "mlflow model, parent": (
        started("python", "/usr/bin/mlflow", "models", "serve", "-m", "models:/gpumodel/1", "-p", "5601"),
        ("mlflow", "model", "models:/gpumodel/1", "models:/gpumodel/1"),
    ),
    "wandb, everything preset": (
        started(WANDB_RUN_ID="abc", WANDB_PROJECT="bert", WANDB_ENTITY="nlp", WANDB_NAME="try 7"),
        ("wandb", "run", "nlp/bert/abc", "try 7"),
    ),
    "wandb, run only": (started(WANDB_RUN_ID="abc"), ("wandb", "run", "abc", "abc")),
    "wandb sweep": (
        started(WANDB_SWEEP_ID="s7", WANDB_PROJECT="bert"),
        ("wandb", "sweep", "bert/s7", "s7"),
    ),
    "wandb launch": (
        started(WANDB_LAUNCH="True", WANDB_LAUNCH_QUEUE_NAME="gpus", WANDB_LAUNCH_TRACE_ID="t1"),
        ("wandb", "launch", "t1", "gpus"),
    ),
    "dvc repro": (
        started(DVC_ROOT="/repo", DVC_STAGE="train@a"),
        ("dvc", "stage", "/repo:train@a", "train@a"),
    ),
    "dvc exp run": (
        started(DVC_ROOT="/repo", DVC_STAGE="train", DVC_EXP_NAME="bigexp"),
        ("dvc", "stage", "/repo:train:bigexp", "bigexp/train"),
    ),
    "kfp launcher": (
        started(
            "launcher-v2",
            "--executor_type",
            "container",
            "--pipeline_name",
            "fraud",
            "--run_id",
            UUID,
            "--execution_id",
            "7",
            "--executor_input",
            '{"secret":"x"}',
        ),
        ("kfp", "task", UUID, "fraud"),
    ),
    "argo": (
        started(ARGO_NODE_ID=ARGO_NODE, ARGO_WORKFLOW_NAME="train-x7k2p"),
        ("argo", "node", ARGO_NODE, "train-x7k2p"),
    ),
    "katib": (started(KATIB_TRIAL_NAME="darts-abc"), ("katib", "trial", "darts-abc", "darts-abc")),
    "kubeflow notebook": (
        started("jupyter", "lab", NB_PREFIX="/notebook/team-a/exp"),
        ("kubeflow", "notebook", "team-a/exp", "exp"),
    ),
    "jupyter kernel": (
        started(
            "python",
            "-m",
            "ipykernel_launcher",
            "-f",
            f"/root/.local/share/jupyter/runtime/kernel-{UUID}.json",
            JPY_SESSION_NAME="/home/ana/exp.ipynb",
        ),
        ("jupyter", "kernel", UUID, "/home/ana/exp.ipynb"),
    ),
    "jupyterhub": (
        started("jupyterhub-singleuser", JUPYTERHUB_USER="ana@x.org", JUPYTERHUB_SERVER_NAME="big"),
        ("jupyterhub", "server", "ana@x.org/big", "jupyter-ana@x.org"),
    ),
    "airflow, what a task starts": (
        started(
            AIRFLOW_CTX_DAG_ID="train_llm",
            AIRFLOW_CTX_TASK_ID="fit",
            AIRFLOW_CTX_DAG_RUN_ID="manual__2026-11-23T04:03:43.980000+00:00",
            AIRFLOW_CTX_TRY_NUMBER="2",
        ),
        ("airflow", "task", "train_llm/manual__2026-11-23T04:03:43.980000+00:00/fit", "train_llm/fit"),
    ),
    "airflow 3, title": (started(f"airflow worker -- {UUID}"), ("airflow", "task", UUID, "")),
    "airflow 3, executor": (started(f"airflow worker -- LocalExecutor: {UUID}"), None),
    "airflow 2, title": (
        started("airflow task runner: train_llm fit scheduled__2026-08-17T00:00:00+00:00 4711"),
        ("airflow", "task", "train_llm/scheduled__2026-08-17T00:00:00+00:00/fit", "train_llm/fit"),
    ),
    "airflow 2, executor": (
        started("/usr/bin/python", "/bin/airflow", "tasks", "run", "etl", "fit", "manual__1", "--local"),
        ("airflow", "task", "etl/manual__1/fit", "etl/fit"),
    ),
    "prefect worker": (
        started("python", "-m", "prefect.engine", PREFECT__FLOW_RUN_ID=UUID, PREFECT__FLOW_NAME="train llm"),
        ("prefect", "flow run", UUID, "train llm"),
    ),
    "prefect serve": (
        started(PREFECT__DEPLOYMENT_NAME="nightly"),
        ("prefect", "deployment", "nightly", "nightly"),
    ),
    "dagster pipes, inline": (
        started(DAGSTER_PIPES_CONTEXT=pipes({"data": {"run_id": UUID, "job_name": "train", "asset_keys": ["a"]}})),
        ("dagster", "step", f"{UUID}/a", "train/a"),
    ),
    "dagster run worker": (
        started(
            "dagster",
            "api",
            "execute_run",
            '{"__class__": "ExecuteRunArgs", "run_id": "' + UUID + '"}',
            DAGSTER_RUN_JOB_NAME="train",
        ),
        ("dagster", "run", UUID, "train"),
    ),
    "kserve": (
        started("python", "-m", "sklearnserver", INFERENCE_SERVICE_NAME="iris"),
        ("kserve", "InferenceService", "iris", "iris"),
    ),
    "knative": (
        started(K_SERVICE="llama", K_REVISION="llama-00001", K_CONFIGURATION="llama"),
        ("knative", "revision", "llama/llama-00001", "llama"),
    ),
    "seldon v1": (
        started(SELDON_DEPLOYMENT_ID="iris", PREDICTOR_ID="default", PREDICTIVE_UNIT_ID="clf"),
        ("seldon", "SeldonDeployment", "iris/default/clf", "iris"),
    ),
    "bentoml": (
        started("python", "-m", "_bentoml_impl.worker.service", "service:S", "--fd", "3", "--service-name", "Sum"),
        ("bentoml", "service", "service:S/Sum", "Sum"),
    ),
    "feast": (
        started("/venv/bin/python", "/venv/bin/feast", "-c", "/repo", "serve", "-h", "0.0.0.0"),
        ("feast", "feature server", "/repo:serve", "serve"),
    ),
    "ray": (
        started("ray::Trainer.fit", RAY_JOB_ID="01000000", RAY_CLUSTER_NAME="shared"),
        ("ray", "job", "shared/01000000", "shared/01000000"),
    ),
    "slurm, cgroup": (
        started(cgroup=SLURM, SLURM_JOB_ID="42", SLURM_JOB_NAME="bert"),
        ("slurm", "job", "42", "bert"),
    ),
    "slurm, array": (
        started(cgroup=SLURM, SLURM_JOB_ID="42", SLURM_ARRAY_JOB_ID="40", SLURM_ARRAY_TASK_ID="2", SLURM_JOB_NAME="b"),
        ("slurm", "array task", "40_2", "b"),
    ),
    "vllm": (
        started("/venv/bin/python", "/venv/bin/vllm", "serve", "meta/llama", "--served-model-name", "llama"),
        ("vllm", "model", "llama", "llama"),
    ),
    "vllm, module": (
        started("python3", "-m", "vllm.entrypoints.openai.api_server", "--port", "1", "--model", "meta/llama"),
        ("vllm", "model", "meta/llama", "meta/llama"),
    ),
    "tgi launcher": (
        started("text-generation-launcher", "--json-output", MODEL_ID="meta/llama"),
        ("tgi", "model", "meta/llama", "meta/llama"),
    ),
    "tgi shard": (
        started("/opt/bin/python", "/opt/bin/text-generation-server", "serve", "meta/llama", "--num-shard", "2"),
        ("tgi", "model", "meta/llama", "meta/llama"),
    ),
    "a variable of TGI's without TGI": (started("python", "train.py", MODEL_ID="meta/llama"), None),
    "triton": (
        started("tritonserver", "--http-port", "1", "--model-repository=/models"),
        ("triton", "model repository", "/models", "/models"),
    ),
    "evidently": (started("python", "report.py", EVIDENTLY_URL="x"), None),
    "claim": (started(GPULEDGER_WORKLOAD="nightly"), ("claim", "claim", "nightly", "nightly")),
    "claim with its tool": (started(GPULEDGER_WORKLOAD="kfp:a:b"), ("kfp", "claim", "a:b", "a:b")),
    "nothing": (started("python", "train.py", PATH="/bin", USER="ana"), None),
}


@pytest.mark.parametrize(("facts", "expected"), PROCESSES.values(), ids=PROCESSES)
def test_a_process_is_recognised(facts: ProcessFacts, expected: tuple[str, str, str, str] | None) -> None:
    """System, scope, id and name come from what the tool itself put there; where it put nothing, nothing is said."""
    workload = identify(facts).workload
    assert (None if workload is None else (workload.system, workload.scope, workload.id, workload.name)) == expected


PODS = {
    "airflow, raw annotations": (
        pod(
            dag_id="train_llm",
            task_id="teamnlpfit-2a26ca1bc",
            run_id="manual__2026-11-23T040343.980000-0e15c0ede",
            try_number="1",
            annotations={
                "dag_id": "train_llm",
                "task_id": "team.nlp.fit",
                "run_id": "manual__2026-11-23T04:03:43.98+00:00",
            },
        ),
        ("airflow", "task", "train_llm/manual__2026-11-23T04:03:43.98+00:00/team.nlp.fit", "train_llm/team.nlp.fit"),
    ),
    "airflow, mapped": (
        pod(dag_id="d", task_id="t", run_id="r", try_number="1", map_index="3"),
        ("airflow", "task", "d/r/t/3", "d/t"),
    ),
    "a label that is called like Airflow's": (pod(dag_id="d", task_id="t", run_id="r"), None),
    "argo": (
        pod(
            owner("Workflow", "train-x7k2p"),
            **{"workflows.argoproj.io/workflow": "train-x7k2p"},
            annotations={
                "workflows.argoproj.io/node-id": ARGO_NODE,
                "workflows.argoproj.io/node-name": "train-x7k2p.fit",
            },
        ),
        ("argo", "node", f"ns/{ARGO_NODE}", "train-x7k2p.fit"),
    ),
    "kfp": (
        pod(
            **{"pipeline/runid": UUID, "workflows.argoproj.io/workflow": "w"},
            annotations={"workflows.argoproj.io/node-name": "w.root.train"},
        ),
        ("kfp", "task", UUID, "w.root.train"),
    ),
    "katib": (
        pod(
            owner("Job", "darts-abc"),
            **{"katib.kubeflow.org/trial": "darts-abc", "katib.kubeflow.org/experiment": "darts"},
        ),
        ("katib", "trial", "ns/darts-abc", "darts/darts-abc"),
    ),
    "training operator": (
        pod(owner("PyTorchJob", "bert", "u-1"), **{"training.kubeflow.org/job-name": "bert"}),
        ("kubeflow", "training job", "u-1", "bert"),
    ),
    "training operator, owner unknown": (
        pod(**{"training.kubeflow.org/job-name": "bert"}),
        ("kubeflow", "training job", "ns/bert", "bert"),
    ),
    "trainer v2": (
        pod(
            owner("Job", "bert-node-0", "u-3"),
            owner("JobSet", "bert", "u-2"),
            owner("TrainJob", "bert", "u-1"),
            **{"jobset.sigs.k8s.io/jobset-name": "bert", "jobset.sigs.k8s.io/jobset-uid": "u-2"},
        ),
        ("kubeflow", "TrainJob", "u-1", "bert"),
    ),
    "trainer v2, chain unknown": (
        pod(**{"jobset.sigs.k8s.io/jobset-name": "bert", "jobset.sigs.k8s.io/jobset-uid": "u-2"}),
        ("jobset", "JobSet", "u-2", "bert"),
    ),
    "kubeflow notebook": (
        pod(owner("StatefulSet", "exp", "u"), **{"notebook-name": "exp", "statefulset": "exp"}),
        ("kubeflow", "notebook", "ns/exp", "exp"),
    ),
    "jupyterhub": (
        pod(
            **{"hub.jupyter.org/username": "ana-souza-example-org---8d008d00", "component": "singleuser-server"},
            annotations={"hub.jupyter.org/username": "ana.souza@example.org"},
        ),
        ("jupyterhub", "server", "ana.souza@example.org", "jupyter-ana.souza@example.org"),
    ),
    "prefect": (
        pod(owner("Job", "x"), **{"prefect.io/flow-run-id": UUID, "prefect.io/flow-name": "train-llm"}),
        ("prefect", "flow run", UUID, "train-llm"),
    ),
    "dagster run": (
        pod(owner("Job", "x"), **{"dagster/run-id": UUID, "dagster/job": "train"}),
        ("dagster", "run", UUID, "train"),
    ),
    "dagster step": (
        pod(owner("Job", "x"), **{"dagster/run-id": UUID, "dagster/job": "train", "dagster/op": "fit"}),
        ("dagster", "step", f"{UUID}/fit", "train/fit"),
    ),
    "wandb launch": (
        pod(owner("Job", "x"), **{"wandb.ai/run-id": "abc"}),
        ("wandb", "run", "abc", "abc"),
    ),
    "kserve": (
        pod(
            owner("Deployment", "iris-predictor"),
            **{"serving.kserve.io/inferenceservice": "iris", "component": "predictor"},
        ),
        ("kserve", "InferenceService", "ns/iris/predictor", "iris"),
    ),
    "kserve over knative": (
        pod(
            **{
                "serving.kserve.io/inferenceservice": "iris",
                "serving.knative.dev/service": "iris-predictor",
                "serving.knative.dev/revision": "iris-predictor-00001",
            }
        ),
        ("kserve", "InferenceService", "ns/iris", "iris"),
    ),
    "kserve, llm": (
        pod(
            owner("Deployment", "qwen-kserve"),
            **{
                "app.kubernetes.io/name": "qwen",
                "app.kubernetes.io/part-of": "llminferenceservice",
                "app.kubernetes.io/component": "llminferenceservice-workload",
                "kserve.io/component": "workload",
            },
        ),
        ("kserve", "LLMInferenceService", "ns/qwen/llminferenceservice-workload", "qwen"),
    ),
    "knative": (
        pod(**{"serving.knative.dev/service": "llama", "serving.knative.dev/revision": "llama-00001"}),
        ("knative", "revision", "ns/llama/llama-00001", "llama"),
    ),
    "seldon v1": (
        pod(**{"seldon-deployment-id": "iris", "seldon-app": "iris-default"}),
        ("seldon", "SeldonDeployment", "ns/iris", "iris"),
    ),
    "seldon v2": (
        pod(owner("StatefulSet", "mlserver"), **{"seldon-server-name": "mlserver"}),
        ("seldon", "Server", "ns/mlserver", "mlserver"),
    ),
    "yatai": (
        pod(**{"yatai.ai/bento-deployment": "sum", "yatai.ai/bento-deployment-component-name": "runner"}),
        ("yatai", "BentoDeployment", "ns/sum/runner", "sum"),
    ),
    "ray job": (
        pod(owner("RayCluster", "c-1", "u-2"), owner("RayJob", "nightly", "u-1"), **{"ray.io/cluster": "c-1"}),
        ("ray", "RayJob", "u-1", "nightly"),
    ),
    "ray service": (
        pod(owner("RayCluster", "c-1", "u-2"), owner("RayService", "deepseek", "u-1"), **{"ray.io/cluster": "c-1"}),
        ("ray", "RayService", "u-1", "deepseek"),
    ),
    "ray cluster": (
        pod(owner("RayCluster", "c-1", "u-2"), **{"ray.io/cluster": "c-1"}),
        ("ray", "RayCluster", "u-2", "c-1"),
    ),
    "jobset": (
        pod(owner("Job", "a-0"), owner("JobSet", "a"), **{"jobset.sigs.k8s.io/jobset-name": "a"}),
        ("jobset", "JobSet", "ns/a", "a"),
    ),
    "leaderworkerset": (
        pod(
            owner("StatefulSet", "vllm"),
            owner("LeaderWorkerSet", "vllm", "u-1"),
            **{"leaderworkerset.sigs.k8s.io/name": "vllm"},
        ),
        ("lws", "LeaderWorkerSet", "u-1", "vllm"),
    ),
    "volcano": (
        pod(owner("Job", "v"), **{"volcano.sh/job-name": "v", "volcano.sh/queue-name": "gold"}),
        ("volcano", "job", "ns/v", "v"),
    ),
    "cron job": (
        pod(
            owner("Job", "nightly-289", "u-2"),
            owner("CronJob", "nightly"),
            **{"batch.kubernetes.io/job-name": "nightly-289"},
        ),
        ("kubernetes", "Job", "u-2", "nightly"),
    ),
    "deployment": (
        pod(owner("ReplicaSet", "web-5f"), owner("Deployment", "web", "u-1")),
        ("kubernetes", "controller", "u-1", "web"),
    ),
    "flyte": (
        pod(**{"execution-id": "f1", "node-id": "n0", "task-name": "train", "project": "p", "domain": "prod"}),
        ("flyte", "node", "p/prod/f1/n0", "train"),
    ),
    "bare": (pod(), None),
}


@pytest.mark.parametrize(("metadata", "expected"), PODS.values(), ids=PODS)
def test_a_pod_is_recognised(metadata: PodMetadata, expected: tuple[str, str, str, str] | None) -> None:
    """Labels, annotations and owners that controllers set say what a pod is for; raw values before hashed ones."""
    workload = identify(metadata).workload
    assert (None if workload is None else (workload.system, workload.scope, workload.id, workload.name)) == expected


def test_containers_without_an_orchestrator_are_named_by_their_labels() -> None:
    """Compose projects and ECS tasks label their containers; others have a name."""
    compose = {"com.docker.compose.project": "lab", "com.docker.compose.service": "trainer"}
    ecs = {
        "com.amazonaws.ecs.task-arn": "arn:aws:ecs:eu-west-1:1:task/c/9f",
        "com.amazonaws.ecs.task-definition-family": "bert",
    }
    dagster = {"dagster/run_id": UUID, "dagster/job_name": "train"}
    named = [
        identify(ContainerFacts("a" * 64, name="box", labels=labels)).workload for labels in (compose, ecs, dagster, {})
    ]
    assert [(one.system, one.id, one.name) for one in named if one] == [
        ("compose", "lab/trainer", "lab/trainer"),
        ("ecs", "arn:aws:ecs:eu-west-1:1:task/c/9f", "bert"),
        ("dagster", UUID, "train"),
        ("container", "box", "box"),
    ]


TORCHRUN = {
    "OMP_NUM_THREADS": "1",
    "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT",
    "RANK": "0",
    "GROUP_RANK": "0",
    "ROLE_RANK": "0",
    "ROLE_NAME": "default",
    "LOCAL_WORLD_SIZE": "2",
    "WORLD_SIZE": "2",
    "GROUP_WORLD_SIZE": "1",
    "ROLE_WORLD_SIZE": "2",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "35139",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "TORCHELASTIC_MAX_RESTARTS": "0",
    "TORCHELASTIC_RUN_ID": "job42",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    "LOCAL_RANK": "0",
    "TORCHELASTIC_ERROR_FILE": "/tmp/torchelastic_dnkzraia/job42_lz6fqrla/attempt_0/0/error.json",
}  # recorded of rank 0 under torch 2.13.0: torchrun --nproc-per-node 2 --rdzv-id job42 --rdzv-backend c10d
DEEPSPEED = {
    "RANK": "1",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "CROSS_RANK": "0",
    "CROSS_SIZE": "2",
    "LOCAL_SIZE": "2",
    "MASTER_ADDR": "n1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("environ", "group"),
    [
        (TORCHRUN, ("torchrun", "job42", "job42: 2 ranks")),
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}, ("torchrun", "localhost:35139", "2 ranks")),
        (DEEPSPEED, ("deepspeed", "n1:29500", "4 ranks")),
    ],
)
def test_ranks_are_grouped_and_never_billed(environ: dict[str, str], group: tuple[str, str, str]) -> None:
    """A launcher of ranks tells which processes belong together; the workload is what is around it."""
    alone = identify(started(**environ))
    assert alone.workload is None
    assert (alone.context[0].system, alone.context[0].id, alone.context[0].name) == group
    inside = identify(started(cgroup=SLURM, SLURM_JOB_ID="42", **environ))
    assert inside.workload is not None
    assert (inside.workload.system, inside.context[0].system) == ("slurm", group[0])


def test_an_evidently_job_is_billed_to_its_runner() -> None:
    """A report has no marks of its own: the task that makes it is what is billed."""
    report = started(
        "python", "report.py", AIRFLOW_CTX_DAG_ID="d", AIRFLOW_CTX_TASK_ID="drift", AIRFLOW_CTX_DAG_RUN_ID="r"
    )
    workload = identify(report).workload
    assert workload is not None
    assert (workload.system, workload.name) == ("airflow", "d/drift")


def test_the_engine_of_a_served_model_is_known_by_its_parent() -> None:
    """The process that holds the GPU has wiped its environment and renamed itself: its parent's command tells."""
    engine = process(7, "0::/\n", comm="VLLM::EngineCor", environ_state="wiped")
    found = identify(engine, started("/venv/bin/vllm", "serve", "meta/llama"))
    assert found.workload is not None
    assert (found.workload.id, found.workload_source) == ("meta/llama", "command@ancestor")


def test_slurm_without_a_cgroup_is_known_by_its_daemon() -> None:
    """Where Slurm makes no cgroups and the environment is wiped, the title of the step's daemon has the job."""
    task = process(7, "0::/\n", environ_state="wiped")
    found = identify(task, started("slurmstepd: [2.batch]"))
    assert found.workload is not None
    assert (found.workload.system, found.workload.id) == ("slurm", "2")


def test_a_job_cannot_make_itself_another() -> None:
    """The number in the cgroup stands against the one in the environment, an array's index too."""
    lying = started(cgroup=SLURM, SLURM_JOB_ID="1", SLURM_ARRAY_JOB_ID="1", SLURM_ARRAY_TASK_ID="1", SLURM_JOB_NAME="x")
    workload = identify(lying).workload
    assert workload is not None
    assert (workload.scope, workload.id) == ("job", "42")
